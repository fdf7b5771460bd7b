"""YAML of an artifact as untrusted input: plain values alone, in no more time and memory than its length accounts for.

YAML's own types hold traps: a whole number in base 60 takes time by the square of its length, a date may be none,
aliases of aliases stand for billions of values as soon as somebody prints them. So what is read here are strings,
booleans, null, numbers of a usual length, lists and mappings; an alias counts as all that it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

import yaml

MAX_VALUES = 100_000


def load(text: str) -> Any:
    """The only document of the text. Raises ValueError, saying in one line what is wrong."""
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise ValueError(lines[0]) from None


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}
    yaml_constructors: ClassVar[dict[str | None, Any]] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values: dict[int, int] = {}  # by the identity of a node: as how many values it counts

    def compose_node(self, parent: Any, index: Any) -> Any:
        known = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if not known:
            parts = node.value if isinstance(node, yaml.CollectionNode) else []
            if isinstance(node, yaml.MappingNode):
                parts = [part for pair in parts for part in pair]
            self._values[id(node)] = 1 + sum(self._values[id(part)] for part in parts)
        # An alias inside of what it names has no number yet.
        if self._values.get(id(node), MAX_VALUES + 1) > MAX_VALUES:
            raise yaml.composer.ComposerError(None, None, f"it stands for more than {MAX_VALUES} values")
        return node

    def flatten_mapping(self, node: Any) -> None:
        """Leave ``<<`` to be refused as a key that nothing constructs."""


def _plain(tag: str, pattern: str, first: str, value: Callable[[str], Any]) -> None:
    """Read scalars that match ``pattern``, whose first characters are in ``first``, as ``value`` of them."""
    tag, matches = f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z")

    def construct(_: Any, node: Any) -> Any:
        if not isinstance(node.value, str) or not matches.match(node.value):
            raise yaml.constructor.ConstructorError(None, None, f"what is tagged {tag} is none", node.start_mark)
        return value(node.value)

    _Loader.add_implicit_resolver(tag, matches, [*first])
    _Loader.add_constructor(tag, construct)


_plain("bool", "(?i:yes|no|true|false|on|off)", "yYnNtTfFoO", lambda text: text.lower() in ("yes", "true", "on"))
_plain("null", "~|(?i:null)|", "~nN", lambda text: None)
_plain("int", "[-+]?[0-9]{1,18}", "-+0123456789", int)
_plain("float", r"[-+]?[0-9]{1,18}\.[0-9]{0,18}", "-+0123456789", float)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"\Z"), [""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<\Z"), ["<"])
for _tag, _construct in {
    "str": yaml.SafeLoader.construct_yaml_str,
    "seq": yaml.SafeLoader.construct_yaml_seq,
    "map": yaml.SafeLoader.construct_yaml_map,
}.items():
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct)
_Loader.add_constructor(None, yaml.SafeLoader.construct_undefined)
