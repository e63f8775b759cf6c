# As much of nixpkgs' `lib` as nix/option-schema.nix asks, and option types in the same form: a name, what they take,
# what they are made of. For machines that have Nix and no nixpkgs; tests/components/test_option_schema.py says more.
let
  inherit (builtins)
    all
    attrValues
    elem
    elemAt
    filter
    foldl'
    head
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isString
    length
    match
    replaceStrings
    stringLength
    substring
    tail
    ;
  type =
    name: check: more:
    { inherit name check; } // more;
  wrapped =
    name: check: elemType:
    type name check { nestedTypes = { inherit elemType; }; };

  types = {
    unspecified = type "unspecified" (_: true) { };
    bool = type "bool" isBool { };
    str = type "str" isString { };
    path = type "path" (v: isString v && substring 0 1 v == "/") { };
    int = type "int" isInt { };
    port = type "unsignedInt16" (v: isInt v && v >= 0 && v <= 65535) { };
    between = lowest: highest: type "intBetween" (v: isInt v && v >= lowest && v <= highest) { };
    nonzero = type "nonzeroInt" (v: isInt v && v != 0) { };
    fraction = type "numberBetween" (v: (isInt v || isFloat v) && v >= 0 && v <= 1) {
      description = "integer or floating point number between 0 and 1 (both inclusive)";
    };
    lines = type "separatedString" isString { };
    package = type "package" isAttrs { };
    functionTo = type "functionTo" builtins.isFunction { };
    word = types.str // {
      check = v: isString v && match "[^ ]+" v != null;
    };
    strMatching =
      pattern:
      type "strMatching ${builtins.toJSON pattern}" (v: isString v && match pattern v != null) {
        functor.payload = { inherit pattern; };
      };
    enum = values: type "enum" (v: elem v values) { functor.payload = { inherit values; }; };
    nullOr = elemType: wrapped "nullOr" (v: v == null || elemType.check v) elemType;
    either =
      left: right:
      type "either" (v: left.check v || right.check v) { nestedTypes = { inherit left right; }; };
    unique = elemType: wrapped "unique" elemType.check elemType;
    listOf = elemType: wrapped "listOf" (v: isList v && all elemType.check v) elemType;
    nonEmptyListOf = elemType: wrapped "listOf" (v: isList v && v != [ ]) elemType;
    attrsOf = elemType: wrapped "attrsOf" isAttrs elemType;
    submodule =
      options:
      type "submodule" isAttrs {
        getSubModules = [ ];
        getSubOptions = _: options;
        nestedTypes = { };
      };
    attrTag = tags: type "attrTag" isAttrs { nestedTypes = tags; };
    json = wrapped "nullOr" (v: !builtins.isFunction v) (
      types.either types.bool (
        types.either types.int (
          types.either (type "float" isFloat { }) (
            types.either types.str (
              types.either types.path (types.either (types.attrsOf types.json) (types.listOf types.json))
            )
          )
        )
      )
    );
  };
in
rec {
  inherit types;
  inherit (builtins)
    concatMap
    elem
    filter
    foldl'
    head
    isBool
    isFloat
    isInt
    isString
    length
    lessThan
    listToAttrs
    mapAttrs
    sort
    tail
    ;
  any = builtins.any;
  last = list: elemAt list (length list - 1);
  mod = a: b: a - b * (a / b);
  nameValuePair = name: value: { inherit name value; };
  mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (builtins.attrNames set));
  optional = yes: value: if yes then [ value ] else [ ];
  optionals = yes: values: if yes then values else [ ];
  optionalAttrs = yes: set: if yes then set else { };
  optionalString = yes: text: if yes then text else "";
  remove = value: filter (v: v != value);
  findFirst =
    found: default: list:
    let
      those = filter found list;
    in
    if those == [ ] then default else head those;
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  removePrefix = prefix: text: substring (stringLength prefix) (stringLength text) text;
  hasSuffix =
    suffix: text:
    let
      at = stringLength text - stringLength suffix;
    in
    at >= 0 && substring at (stringLength text) text == suffix;
  splitString =
    separator: text: filter isString (builtins.split (replaceStrings [ "." ] [ "\\." ] separator) text);
  trim = text: head (match "[ \t\n]*(.*[^ \t\n])?[ \t\n]*" text);
  showOption = builtins.concatStringsSep ".";
  isOption = value: isAttrs value && value._type or "" == "option";
  mkOption = fields: fields // { _type = "option"; };
  # option paths, as the module system puts them into the options
  located =
    at: set:
    mapAttrs (
      name: value:
      if isOption value then value // { loc = at ++ [ name ]; } else located (at ++ [ name ]) value
    ) set;
}
