"""The environment of HTTP clients.

Their own errors about proxies, certificates and tokens do not name the variable at fault.
"""

import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_PROXIES = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "http_proxy", "https_proxy")
_SCHEMES = ("http", "https", "socks5", "socks5h")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def network_faults(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Everything in the environment that stops HTTP clients, as messages."""
    yield from _proxies(environ)
    for name in _CERTIFICATES:
        path = environ.get(name)
        if path and not Path(path).exists():
            yield (
                f"The environment variable {name} names {path}, which does not exist. Unset it, or "
                f"correct the path of the certificates."
            )
    for name in _TOKENS:
        token = environ.get(name, "")
        if not token.isascii() or any(character.isspace() for character in token.strip()):
            yield (
                f"The environment variable {name} holds a character that no token has (curly "
                f"quotes or a space, perhaps from copying). Set it again, without quotes."
            )
    endpoint = environ.get("HF_ENDPOINT", "")
    if endpoint and not endpoint.startswith(("http://", "https://")):
        yield (
            f"The environment variable HF_ENDPOINT is {endpoint!r}, which is no address. Write "
            f"https:// before it, or unset it."
        )


def _proxies(environ: Mapping[str, str]) -> Iterator[str]:
    for name in _PROXIES:
        address = environ.get(name, "")
        scheme = address.partition("://")[0] if "://" in address else "http"
        if scheme not in _SCHEMES:
            hint = " (socks5:// is meant, perhaps)" if scheme.startswith("socks") else ""
            yield (
                f"The environment variable {name} is {address!r}; {scheme}:// is no kind of proxy "
                f"that HTTP clients know{hint}. Use {', '.join(_SCHEMES)}, or unset it."
            )
        elif scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
            yield (
                f"The environment variable {name} is {address!r}, but the package for SOCKS "
                f"proxies is missing: pip install socksio. Or unset the variable."
            )
