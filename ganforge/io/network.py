"""HTTP: the environment of its clients, requests that give up, and retries.

The clients' own errors about proxies, certificates and tokens do not name the variable at fault.
"""

import http.client
import importlib.util
import logging
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

logger = logging.getLogger(__name__)
T = TypeVar("T")
TIMEOUT_SEC = 60.0
"""A server that sends nothing for so long counts as gone."""
PAUSES_SEC = (2.0, 10.0, 50.0)
"""Pauses between attempts. Each is varied by half, so that many ranks do not return at once."""
NUM_ATTEMPTS = len(PAUSES_SEC) + 1
_draw = random.Random()
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


def retried(action: Callable[[], T], faults: type[Exception]) -> T:
    """The result of `action`, which is repeated after longer and longer pauses while it fails.

    Raises:
        Exception: of the kind `faults`, from the last attempt.
    """
    for pause in PAUSES_SEC:
        try:
            return action()
        except faults as err:
            pause *= _draw.uniform(0.5, 1.5)
            logger.warning("%s. Trying again in %.0f s.", str(err).rstrip("."), pause)
            time.sleep(pause)
    return action()


class _Body:
    """The body of a response; a connection that breaks is an OSError."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response

    def read(self, size: int | None = None) -> bytes:
        try:
            return self._response.read(size)
        except http.client.HTTPException as err:
            raise ConnectionError(f"the connection broke ({type(err).__name__}: {err})") from err

    def close(self) -> None:
        self._response.close()


def open_http(url: str) -> BinaryIO:
    """Open an http or https URL for reading.

    Raises:
        OSError: it cannot be opened, or the server was silent for a minute; reading raises it too.
            FileNotFoundError and PermissionError where the server says so.
    """
    try:
        response = urllib.request.urlopen(url, timeout=TIMEOUT_SEC)
    except urllib.error.HTTPError as err:
        err.close()
        kinds = {401: PermissionError, 403: PermissionError, 404: FileNotFoundError}
        raise kinds.get(err.code, OSError)(f"the server answers {err.code} {err.reason}") from err
    except (urllib.error.URLError, http.client.HTTPException) as err:
        fault = next(network_faults(), None) or getattr(err, "reason", None) or err
        raise OSError(str(fault) or type(err).__name__) from err
    return cast(BinaryIO, _Body(response))
