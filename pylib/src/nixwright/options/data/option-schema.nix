# The options of a NixOS module evaluation as one JSON Schema (draft 2020-12), without forcing any value.
#
#   nix eval --impure --json --expr 'import ./option-schema.nix { nixpkgs = <nixpkgs>; modules = [ ./mine.nix ]; }'
#
# or, with an evaluation that is there already: `import ./option-schema.nix { inherit (nixosSystem) lib options config; }`.
#
# An option is where its path leads through `properties` (a name), `additionalProperties` (any name of an attrsOf) and
# `items` (an element of a listOf). Keywords beside those of JSON Schema:
#   x-nix        what the value is in Nix where JSON has no such thing ("path", "package", "function", ...)
#   x-ere        the pattern of strMatching, a POSIX extended regular expression that fits the whole string
#   x-option     this node is an option (and no mere set of options)
#   x-merge      two modules may define it, though it is no list and no attribute set (lines, commas, ...)
#   x-unique     only one definition is taken
#   x-renamed, x-removed   the option's new name; what its authors say to those who still use it
#   x-tag        the attribute that says which of `x-tags` an attribute set is; null: the only attribute itself (attrTag)
{
  nixpkgs ? <nixpkgs>,
  system ? "x86_64-linux",
  modules ? [ ],
  lib ? import (nixpkgs + "/lib"),
  evaluation ? import (nixpkgs + "/nixos/lib/eval-config.nix") {
    inherit lib;
    system = null;
    modules = modules ++ [
      {
        nixpkgs.hostPlatform = lib.mkDefault system;
        # what is set is not the question here
        _module.check = false;
      }
    ];
  },
  options ? evaluation.options,
  config ? evaluation.config,
  # dotted names of options, and of sets of them, to leave out
  omit ? [ ],
}:
let
  inherit (lib) optionalAttrs;

  # What a value evaluates to, or `other` where that throws.
  attempt =
    other: value:
    let
      tried = builtins.tryEval (builtins.deepSeq value value);
    in
    if tried.success then tried.value else other;
  # The same, of a list's or a set's outside only.
  attempt' =
    other: value:
    let
      tried = builtins.tryEval value;
    in
    if tried.success then tried.value else other;
  takes = type: value: attempt false (type.check value);
  says = type: attempt "" (toString (type.description or ""));

  # JSON has no other values.
  isPlain = v: v == null || lib.isBool v || lib.isInt v || lib.isFloat v || lib.isString v;

  # 64 bits, as Nix has them.
  largest = 9223372036854775807;
  smallest = -largest - 1;
  # The last integer from `inside` towards `outside` that the type takes: its check is asked, whatever its description says.
  bound =
    type: inside: outside:
    let
      # the sum of both may be beyond 64 bits
      middle = inside / 2 + outside / 2 + (lib.mod inside 2 + lib.mod outside 2) / 2;
    in
    if takes type outside then
      outside
    else if outside == inside + 1 || outside == inside - 1 then
      inside
    else if takes type middle then
      bound type middle outside
    else
      bound type inside middle;
  integer =
    type:
    let
      inside = lib.findFirst (takes type) null [
        1
        0
        (-1)
        10
        50
        100
        350
        1000
        1024
        5000
        10000
        65536
        1000000
        (-100)
      ];
      highest = bound type inside largest;
      lowest = bound type inside smallest;
    in
    {
      type = "integer";
    }
    // optionalAttrs (inside != null) (
      optionalAttrs (highest != largest) { maximum = highest; }
      // optionalAttrs (lowest != smallest) { minimum = lowest; }
      # bisection cannot see a hole in the range: "nonzero" has one
      // optionalAttrs (lowest < 0 && highest > 0 && !(takes type 0)) { not.const = 0; }
    );
  # Bounds that only a description holds; JSON's own notation stands in it.
  range =
    type:
    let
      found = builtins.match ".*between (-?[0-9.e+-]+) and (-?[0-9.e+-]+) \\(both inclusive\\).*" (
        says type
      );
      # a float type takes no integer, a number type both
      low = if takes type 0.0 then 0.0 else null;
    in
    if found != null then
      {
        minimum = builtins.fromJSON (builtins.elemAt found 0);
        maximum = builtins.fromJSON (builtins.elemAt found 1);
      }
    else if takes type (-1.0) || !(takes type 1.0) then
      { }
    else if low != null then
      { minimum = 0; }
    else
      { exclusiveMinimum = 0; };

  float = {
    type = "number";
    not.type = "integer";
    x-nix = "float";
  };
  # What a check added to `str` may forbid, as far as it can be asked.
  string =
    type:
    let
      # a type that takes no word at all has a form that cannot be guessed
      forbids = text: takes type "a" && !(takes type text);
      pattern =
        lib.optionalString (forbids "") "(?=[\\s\\S])"
        + lib.optionalString (forbids "a b") "(?![\\s\\S]* )"
        + lib.optionalString (forbids "a\nb") "(?![\\s\\S]*\\n)"
        + lib.optionalString (forbids "a/" && takes type "a/b") "(?![\\s\\S]*/${end})";
    in
    { type = "string"; } // optionalAttrs (pattern != "") { pattern = "^${pattern}"; };
  # `$` alone would let a newline follow, in Python
  end = "(?![\\s\\S])";
  storePath = "^/nix/store/[0-9a-df-np-sv-z]{32}-[^/]+${end}";

  # What a module's own type takes, found by asking its check. Only those known to answer: a check may fail beyond rescue
  # on a value that its author did not think of. The others are open.
  answering = [
    "absolutePath"
    "filename"
    "goDuration"
    "ipAddress"
    "kernelParam"
    "pathname"
    "sysctl option value"
    "sysfs value"
    "systemd option"
    "udevValue"
  ];
  asked =
    type:
    let
      strings = [
        ""
        "a"
        "/a"
        "127.0.0.1"
        "1s"
      ];
      kinds =
        lib.optional (takes type null) "null"
        ++ lib.optional (takes type true) "boolean"
        ++ lib.optional (takes type 1) "integer"
        ++ lib.optional (takes type 1.5) "number"
        ++ lib.optional (lib.any (takes type) strings) "string"
        ++ lib.optional (takes type [ ]) "array"
        ++ lib.optional (takes type { }) "object";
    in
    {
      x-nix = type.name;
    }
    // (
      if !lib.elem type.name answering then
        { x-merge = true; }
      else if lib.length kinds == 7 then
        { x-merge = true; }
      else
        { type = if lib.length kinds == 1 then lib.head kinds else kinds; }
    );

  leaves = {
    bool = _: { type = "boolean"; };
    boolByOr = _: {
      type = "boolean";
      x-merge = true;
    };
    float = type: float // range type;
    numberBetween = type: { type = "number"; } // range type;
    numberNonnegative = type: { type = "number"; } // range type;
    numberPositive = type: { type = "number"; } // range type;
    nonnegativeFloat = type: float // range type;
    str = string;
    nonEmptyStr = _: {
      type = "string";
      pattern = "[^ \\t\\n]";
    };
    singleLineStr = _: {
      type = "string";
      pattern = "^[^\\n\\r]*\\n?${end}";
    };
    "passwdEntry str" = _: {
      type = "string";
      pattern = "^[^:\\n]*${end}";
    };
    "passwdEntry path" = _: {
      type = "string";
      pattern = "^/[^:\\n]*${end}";
      x-nix = "path";
    };
    separatedString = _: {
      type = "string";
      x-merge = true;
    };
    path =
      type:
      let
        inherit (type.functor.payload or { }) inStore absolute;
        plain = type.functor.payload or null == null;
      in
      {
        type = "string";
        pattern =
          if plain || inStore == null then
            (
              if !plain && absolute == false then
                "^[^/]"
              else if plain || absolute == true then
                "^/"
              else
                ""
            )
          else if inStore then
            "^/nix/store/.*[^/]"
          else
            "^(?!/nix/store/.)${if absolute == true then "/" else ""}";
      }
      // optionalAttrs (plain || inStore != false) { x-nix = "path"; };
    # disko's
    "absolute pathname" = _: {
      type = "string";
      pattern = "^/";
    };
    package = _: {
      type = "string";
      pattern = storePath;
      x-nix = "package";
    };
    attrs = _: { type = "object"; };
    anything = _: { x-merge = true; };
    unspecified = _: { x-merge = true; };
    raw = _: { };
    deferredModule = _: {
      type = "object";
      x-nix = "module";
      x-merge = true;
    };
    functionTo = _: {
      not = { };
      x-nix = "function";
    };
    function = leaves.functionTo;
    optionType = _: {
      not = { };
      x-nix = "option type";
    };
    luaInline = _: {
      not = { };
      x-nix = "inline Lua (lib.mkLuaInline)";
    };
    pkgs = _: {
      not = { };
      x-nix = "package set";
    };
    fileset = _: {
      not = { };
      x-nix = "file set";
    };
    enum =
      type:
      let
        values = type.functor.payload.values or [ ];
        plain = lib.filter isPlain values;
      in
      if plain == values then { enum = values; } else { x-nix = "value"; };
  };
  integers = [
    "int"
    "intBetween"
    "nonzeroInt"
    "positiveInt"
    "signedInt16"
    "signedInt32"
    "signedInt8"
    "unsignedInt"
    "unsignedInt16"
    "unsignedInt32"
    "unsignedInt8"
  ];
  # A check added to a type keeps its name: only integers, strings and lists can be asked what it is.
  leaf =
    type:
    if leaves ? ${type.name} then
      leaves.${type.name} type
    else if lib.hasPrefix "strMatching " type.name then
      {
        type = "string";
        x-ere =
          type.functor.payload.pattern or (builtins.fromJSON (lib.removePrefix "strMatching " type.name));
      }
    else if lib.elem type.name integers then
      integer type
    else
      asked type;

  # The alternatives of nested either and nullOr.
  alternatives =
    type:
    let
      nested = type.nestedTypes or { };
    in
    if type.name == "either" && nested ? left then
      alternatives nested.left ++ alternatives nested.right
    else if type.name == "nullOr" && nested ? elemType then
      [ { name = "null"; } ] ++ alternatives nested.elemType
    else
      [ type ];
  # A type that holds itself (JSON, YAML, TOML values): its attribute sets and lists hold what looks like it. Its description
  # may be endless.
  names = map (t: t.name);
  holdsItself =
    all:
    lib.any (
      t:
      lib.elem t.name [
        "attrsOf"
        "lazyAttrsOf"
        "listOf"
      ]
      && lib.elem (names (alternatives t.nestedTypes.elemType)) [
        (names all)
        (lib.remove "null" (names all))
      ]
    ) all;
  isValue =
    all:
    lib.sort lib.lessThan (lib.remove "null" (names all)) == [
      "attrsOf"
      "bool"
      "float"
      "int"
      "listOf"
      "path"
      "str"
    ];

  anyOf =
    depth: type:
    let
      all = alternatives type;
    in
    if holdsItself all then
      (
        if isValue all then
          { "$ref" = "#/$defs/${if takes type null then "valueOrNull" else "value"}"; }
        else
          { x-merge = true; }
      )
    else
      { anyOf = map (t: if t.name == "null" then { type = "null"; } else schema depth t) all; };

  # Disko's contents of devices hold one another: each is written once, in $defs.
  fieldsOf =
    type:
    removeAttrs (type.getSubOptions [ ]) [
      "_module"
      "_freeformOptions"
    ];
  contents = optionalAttrs (options ? disko.devices) (
    ((fieldsOf (fieldsOf options.disko.devices.type).disk.type.nestedTypes.elemType).content)
    .type.nestedTypes.elemType.nestedTypes
  );

  submodule =
    depth: type:
    let
      nested = type.nestedTypes or { };
      freeform =
        if (nested.freeformType or null) != null then schema (depth + 1) nested.freeformType else null;
    in
    {
      type = "object";
      properties = attempt { } (tree depth (fieldsOf type));
      additionalProperties = if freeform == null then false else freeform.additionalProperties or true;
      x-nix = "submodule";
    };

  compound =
    depth: type:
    let
      nested = type.nestedTypes;
      element = schema (depth + 1) nested.elemType;
      object = {
        type = "object";
        additionalProperties = element;
      };
      array = {
        type = "array";
        items = element;
      }
      // optionalAttrs (!(takes type [ ])) { minItems = 1; };
    in
    {
      attrsOf = object;
      lazyAttrsOf = object;
      loaOf = object;
      listOf = array;
      attrListOf.anyOf = [
        object
        array
      ];
      nullOr = anyOf depth type;
      either = anyOf depth type;
      unique = schema depth nested.elemType // {
        x-unique = true;
      };
      coercedTo.anyOf = [
        (schema depth nested.finalType)
        (schema depth nested.coercedType)
      ];
      submodule = submodule depth type;
      attrTag = {
        type = "object";
        x-tag = null;
        x-tags = lib.mapAttrs (_: o: option (depth + 1) o) nested;
      };
      subType = {
        type = "object";
        x-tag = "type";
        x-tags = lib.mapAttrs (
          n: t: if contents ? ${n} then { "$ref" = "#/$defs/disko.${n}"; } else schema (depth + 1) t
        ) nested;
      };
    }
    .${type.name} or null;

  # Types of types: deeper than any of NixOS' own, and an end for those that hold themselves in other ways.
  deepest = 8;
  schema =
    depth: type:
    if depth > deepest then
      { x-merge = true; }
    else
      attempt { x-merge = true; } (
        let
          nested = type.nestedTypes or { };
          whole = if nested != { } || type.name == "submodule" then compound depth type else null;
        in
        if whole != null then
          whole
        else if leaves ? ${type.name} || nested == { } then
          leaf type
        else
          asked type
      );

  # mkRemovedOptionModule says what to do instead in an assertion only. It is known by where it is written: the messages of
  # other assertions may fail beyond rescue where the assertion holds.
  advice = lib.listToAttrs (
    lib.concatMap (
      assertion:
      let
        written = builtins.unsafeGetAttrPos "message" assertion;
        found = builtins.match "The option definition `([^\n]*)' in .* no longer has any effect; please remove it.\n(.*)" (
          attempt "" assertion.message
        );
      in
      lib.optional (written != null && lib.hasSuffix "/lib/modules.nix" written.file && found != null) {
        name = lib.head found;
        value = lib.trim (lib.last found);
      }
    ) (attempt' [ ] config.assertions)
  );

  option =
    depth: o:
    let
      name = lib.showOption o.loc;
      hidden = (o.visible or true) == false;
      text = o.description or "";
      alias = builtins.match "Alias of \\{option}`(.*)`\\." (attempt "" (toString (text.text or text)));
      # what is hidden or shallow is not walked: a whole NixOS configuration may be in it
      shallow = hidden || (o.visible or true) == "shallow";
      type = o.type or lib.types.unspecified;
      nested = type.nestedTypes or { };
      flat =
        if takes type { } && (type.getSubModules or null != null || nested ? elemType) then
          {
            type =
              if takes type [ ] then
                [
                  "object"
                  "array"
                ]
              else
                "object";
            x-merge = true;
          }
        else
          schema depth type;
    in
    (if shallow && (type.getSubModules or null) != null then flat else schema depth type)
    // {
      x-option = true;
    }
    // optionalAttrs (o.readOnly or false) { readOnly = true; }
    // optionalAttrs (o.internal or false) { x-internal = true; }
    // optionalAttrs (hidden && alias != null) {
      deprecated = true;
      x-renamed = lib.head alias;
    }
    // optionalAttrs (hidden && advice ? ${name}) {
      deprecated = true;
      x-removed = advice.${name};
    };

  tree =
    depth: set:
    lib.mapAttrs (
      _: o:
      if lib.isOption o then
        option depth o
      else
        {
          type = "object";
          properties = tree depth o;
          additionalProperties = false;
        }
    ) set;

  without =
    set: path:
    if !set ? ${lib.head path} then
      set
    else if lib.length path == 1 then
      removeAttrs set path
    else
      set // { ${lib.head path} = without set.${lib.head path} (lib.tail path); };

  value = {
    anyOf = [
      { type = "boolean"; }
      { type = "integer"; }
      { type = "number"; }
      {
        type = "string";
        x-nix = "path";
      }
      {
        type = "object";
        additionalProperties."$ref" = "#/$defs/value";
      }
      {
        type = "array";
        items."$ref" = "#/$defs/value";
      }
    ];
  };
in
{
  "$schema" = "https://json-schema.org/draft/2020-12/schema";
  title = "Options of NixOS";
  type = "object";
  properties = tree 0 (
    lib.foldl' without (removeAttrs options [ "_module" ]) (map (lib.splitString ".") omit)
  );
  additionalProperties = false;
  "$defs" = {
    inherit value;
    valueOrNull.anyOf = [
      { type = "null"; }
    ]
    ++ map (
      branch:
      lib.mapAttrs (
        n: v: if n == "additionalProperties" || n == "items" then { "$ref" = "#/$defs/valueOrNull"; } else v
      ) branch
    ) value.anyOf;
  }
  // lib.mapAttrs' (n: t: lib.nameValuePair "disko.${n}" (schema 0 t)) contents;
}
