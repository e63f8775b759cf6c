"""The Nix language: values, attribute paths, strings, priorities, and the RFC 166 layout."""
