"""The policies, one file each: what a user sets, its check, the rule, its explanation and its short form.

A policy is a frozen dataclass with pure methods; it holds no state and reads no clock. Times are milliseconds since
1970. A new policy is one new file, its name in the union of its kind (the package's ``__init__``), and its message in
``proto/settings.proto`` under the same name.
"""
