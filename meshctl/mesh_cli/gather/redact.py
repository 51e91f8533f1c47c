"""Takes out of what is gathered whatever may be a secret. Pure.

1. By type first: of a Secret nothing but its name is kept, wherever it lies, and it is not asked for at
   all. Of an object inside of another one (what a Work, an Assignment or a Placement carries) only kind and
   name are kept. Of a change to such an object (JSON Patch) what it sets is not.
2. Values of annotations are kept only below keys that are ours or the MCS API's: anybody writes the others,
   and kubectl a copy of the whole object. Values of environment variables only of our own settings, of
   fields that are called as secrets are none.
3. Then by looks, in every text: private keys, tokens, passwords in URLs and behind words that announce one.
4. What was taken out says so; nothing is left out silently.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

TAKEN: Final = "[redacted]"
_KEPT_KEYS: Final = ("meshctl.dev/", "multicluster.kubernetes.io/")
_OUR_SETTINGS: Final = "MESHCTL_"
_NAMED: Final = ("name", "namespace")
_CONTENT: Final = frozenset({"metadata", "data", "stringData"})
_DEEPEST: Final = 60
_WORDS: Final = (
    r"(?:token|password|passwd|passphrase|secret|credential|api[-_]?key|private[-_]?key|authorization)"
)
_SECRET_KEY: Final = re.compile(rf"(?i){_WORDS}\Z")
# Others write these texts, 8 MiB of them. So each look takes time that grows as the text does: what begins to
# match at a character matches, or is given up after a few, or ends where the next match may begin.
_LOOKS: Final = (
    (
        re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.S),
        TAKEN,
    ),
    # PKCS #8 and SEC 1 of P-256, and PEM headers, in base64.
    (re.compile(r"(MIGHAgEAMBMGByqGSM49|MHcCAQEEI|LS0tLS1CRUdJTi)[A-Za-z0-9+/=_-]*"), TAKEN),
    (re.compile(r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8}[A-Za-z0-9_.+/=-]*"), TAKEN),
    (re.compile(r"\bmeshctl1\.[A-Za-z0-9_-]+"), TAKEN),
    (re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), TAKEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',]+"), rf"\1 {TAKEN}"),
    (re.compile(r"(://)[^/\s@]+@"), rf"\1{TAKEN}@"),
    # A quoted value ends where as many backslashes and the same quote stand, else with the line.
    (
        re.compile(
            rf"(?im)({_WORDS}(?:\\*[\"'])?\s*[:=]\s*)(?!\[redacted\])"
            r"(?:(\\*[\"'])[^\n]*?(?:(?<!\\)\2|$)|[^\s\"',;]+)"
        ),
        rf"\1{TAKEN}",
    ),
)


def scrub(text: str) -> str:
    """The text without what looks like a secret."""
    for look, instead in _LOOKS:
        text = look.sub(instead, text)
    return text


def redacted(item: Mapping[str, Any]) -> dict[str, Any]:  # Any: JSON of any kind
    """An object of the API as it may be shown."""
    if item.get("kind") == "Secret":
        return _name_only(item)
    return {key: _field(key, value, depth=0) for key, value in item.items()}


def _shown(value: Any, *, key: str, depth: int) -> Any:
    if depth > _DEEPEST:
        return TAKEN
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, list):
        if key == "env":
            return [_variable(one, depth=depth + 1) for one in value]
        return [_shown(one, key="", depth=depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    if _is_object(value):
        return _name_only(value)
    if key == "metadata":
        value = {name: one for name, one in value.items() if name != "managedFields"}
    if key == "annotations":
        return {name: _annotation(str(name), one) for name, one in value.items()}
    if "op" in value and "path" in value:
        value = {name: TAKEN if name == "value" else one for name, one in value.items()}
    return {name: _field(str(name), one, depth=depth + 1) for name, one in value.items()}


def _field(name: str, value: Any, *, depth: int) -> Any:
    if isinstance(value, str) and value and _SECRET_KEY.search(name):
        return TAKEN
    return _shown(value, key=name, depth=depth)


def _is_object(value: Mapping[str, Any]) -> bool:
    """Whether it is a whole object and no mere reference to one, complete or not."""
    return "kind" in value and not _CONTENT.isdisjoint(value)


def _name_only(item: Mapping[str, Any]) -> dict[str, Any]:
    meta = item.get("metadata")
    names = {key: str(meta[key]) for key in _NAMED if key in meta} if isinstance(meta, dict) else {}
    head = {key: str(item[key]) for key in ("apiVersion", "kind") if key in item}
    return {**head, "metadata": names, "content": TAKEN}


def _annotation(name: str, value: Any) -> Any:
    prefix = name.partition("/")[0] + "/"
    known = any(prefix == kept or prefix.endswith(f".{kept}") for kept in _KEPT_KEYS)
    return scrub(str(value)) if known else TAKEN


def _variable(one: Any, *, depth: int) -> Any:
    shown = _shown(one, key="", depth=depth)
    if not isinstance(one, dict) or not isinstance(shown, dict) or "value" not in shown:
        return shown if isinstance(one, dict) else TAKEN
    ours = str(one.get("name", "")).startswith(_OUR_SETTINGS)
    return shown if ours else {**shown, "value": TAKEN}
