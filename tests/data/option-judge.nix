# What NixOS' own types say of a sample of settings: a list of { path, value } in, a list of booleans out.
# Only what is given is looked at: a submodule's options without a default are not asked for.
{
  options,
  lib,
  sample,
}:
let
  touch =
    given: merged:
    if lib.isAttrs given && lib.isAttrs merged then
      lib.foldl' (
        done: name:
        if merged ? ${name} then builtins.seq (touch given.${name} merged.${name}) done else done
      ) true (lib.attrNames given)
    else if lib.isList given && lib.isList merged && lib.length given == lib.length merged then
      lib.foldl' (done: pair: builtins.seq (touch pair.fst pair.snd) done) true (
        lib.zipLists given merged
      )
    else
      builtins.seq merged true;
  judge =
    { path, value }:
    let
      option = lib.getAttrFromPath path options;
      merged = lib.mergeDefinitions option.loc option.type [
        {
          file = "sample";
          inherit value;
        }
      ];
    in
    (builtins.tryEval (touch value merged.mergedValue)).success;
in
map judge sample
