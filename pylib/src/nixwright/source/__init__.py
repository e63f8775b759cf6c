"""Python source as text: values that are read and changed in place, and what looks like a secret in it.

`edit` changes a host file; libcst is loaded when its functions are called. `secrets` looks at plain values.
"""
