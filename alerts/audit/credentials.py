"""What looks like a credential: by the name it goes under, or by its form, in whatever text it stands.

Nobody can know every secret. What is known here is how tools, headers, variables and arguments call one.
"""

import re
from typing import Any
from urllib.parse import unquote

HIDDEN = "[redacted]"

# How the names of credentials end, without what stands between their words.
_ENDINGS = (
    "token", "password", "passwd", "passphrase", "secret", "secretkey", "secretaccesskey", "apikey", "privatekey",
    "clientkeydata", "encryptionkey", "authorization", "cookie",
)  # fmt: skip
_BETWEEN = str.maketrans("", "", "-_")
# Of an environment variable or a header, by the name beside its value
_NAME_BESIDE = re.compile(
    r"(?i)passw(?:or)?d|passphrase|secret|token|credential|api_?key|private_?key|encryption_?key|_(?:pwd|pass)\b|authorization|"
    r"cookie"
)

_GAP = r"(?:\s|\+|%20)"
# As JSON and shells write them, escaped or not
_QUOTE = r"(?:\\*[\"']|%22|%27)"
_NAME = (
    r"(?:token|passw(?:or)?d|passphrase|secret(?:[-_]?access)?(?:[-_]?key)?|api[-_]?key|private[-_]?key"
    r"|encryption[-_]?key|client[-_]?key[-_]?data|(?<=_)(?:pwd|pass))"
    rf"{_QUOTE}?"
)
_HEADER = rf"(?:(?:proxy-)?authorization|(?:set-)?cookie){_QUOTE}?"
_SCHEME = rf"(?:(?:bearer|basic|token|digest|negotiate|ntlm|apikey|splunk){_GAP}+)?"
_REST_OF_LINE, _WORD = r"(?:[^\s&\"'\\%]|%(?!22|27)|[^\S\r\n])++", r"(?:[^\s&\"'\\,;%]|%(?!22|27))++"
_PLAIN = r"(?-i:[a-z]{1,11}(?![\w/+=.-]*[\w/+=-]))"
# The words before what is hidden stay, so that one sees what was there. Whatever anybody writes, it is read in a time
# that grows as it does: no part may look again through what another one passed over.
_CREDENTIAL = re.compile(
    # A header, to which all of the line belongs. It is no part of a name such as system:serviceaccount:authorization:x.
    rf"(?i)((?<![\w:.-]){_HEADER}{_GAP}*(?::|=|%3a|%3d){_GAP}*{_QUOTE}?{_SCHEME}){_REST_OF_LINE}"
    # A field, a variable, a parameter. In system:serviceaccount:my-secret:db nothing stands between colon and name, and
    # in a sentence about a token a word.
    rf"|({_NAME}(?:=|%3d|{_GAP}*(?::|%3a)(?:{_GAP}+(?!{_PLAIN})|(?={_QUOTE}))){_QUOTE}?{_SCHEME}){_WORD}"
    # An argument, in a shell or of an exec
    rf"|((?<![\w.-])--?[\w.-]*{_NAME}(?:{_GAP}+|&command=){_QUOTE}?){_WORD}"
    # What curl and its like are given to log in with
    rf"|((?<![\w.-])-(?:u|-user|-proxy-user)(?:{_GAP}+|=|&command=){_QUOTE}?"
    rf"(?:[^\s:&\"'\\%/+=]|%(?!20|22|27|3a))++(?::|%3a))(?!//|%2f){_WORD}"
    # What signs an address, so that whoever has it is let in
    rf"|([?&](?:x-(?:amz|goog)-signature|sig)=){_WORD}"
    # The log-in to a registry (config.json of docker)
    rf"|((?<=[\"'])auth{_QUOTE}\s*:\s*{_QUOTE})[\w+/]{{8,}}=*"
    rf"|(\bbearer{_GAP}+)(?=[\w.~/%=+-]{{0,200}}\d)[\w.~/%=+-]{{8,}}"
    r"|(://[^\s/:@\"'?#]+:)[^\s/@\"'?#]+(?=@)"
    r"|eyJ[\w-]{8,400}\.eyJ[\w-]{8,}\.[\w-]*"  # a JSON web token
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.)*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_FLAG = re.compile(rf"(?i)--?[\w.-]*{_NAME}")
_DECODINGS = 3


def hide(text: str) -> str:
    """Return the text with every credential in it hidden; decoded, where it was percent-encoded and hid one."""
    hidden = _CREDENTIAL.sub(_hidden, text)
    if "%" not in hidden:
        return hidden
    decoded = _decoded(hidden)
    found = _CREDENTIAL.sub(_hidden, decoded)
    return hidden if found == decoded else found


def _hidden(match: re.Match[str]) -> str:
    return next(filter(None, match.groups()), "") + HIDDEN


def _decoded(text: str) -> str:
    """Return what was percent-encoded, once or a few times."""
    for _ in range(_DECODINGS):
        text = unquote(text)
    return text


def is_name(name: str) -> bool:
    """Tell whether a field of that name holds a credential, by how it ends: `accessToken`, `client_secret`."""
    return name.lower().translate(_BETWEEN).endswith(_ENDINGS)


def is_named_beside(value: dict[str, Any]) -> bool:
    """Tell whether it is a variable, a header or a chart's value that has a credential's name beside its value."""
    return "value" in value and bool(_NAME_BESIDE.search(str(value.get("name", ""))))


def is_flag(argument: Any) -> bool:
    """Tell whether an argument says that the next one is a credential."""
    return isinstance(argument, str) and _FLAG.fullmatch(argument) is not None


# In lower case and without what stands between words, any of the above holds one of these, or is percent-encoded.
_WORDS = (
    "token", "password", "passwd", "passphrase", "secret", "secretkey", "accesskey", "apikey", "privatekey",
    "clientkeydata", "encryptionkey", "authorization", "cookie", "bearer", "pwd", "pass", "auth",
)  # fmt: skip
_SIGNS = tuple((word.encode(), re.compile(word.encode() + rb"[\"'=:+&\\\s]")) for word in _WORDS) + tuple(
    (sign, re.compile(rest))
    for sign, rest in ((b"eyj", b"eyj"), (b"private key", b"private key"), (b"@", rb"://[^/\s\"]*@"))
)


def may_be_in(text: bytes) -> bool:
    """Tell whether any credential may be in JSON that escapes no letters, at a look; in most there is none."""
    if b"%" in text or b"-u" in text or b"ignature=" in text or b"sig=" in text:
        return True
    plain = text.lower().translate(None, b"-_")
    return any(sign in plain and pattern.search(plain) for sign, pattern in _SIGNS)
