"""Security of the page: sign-in cookies, tokens of forms, hosts and origins."""

import hashlib
import hmac
import os
import secrets
from urllib.parse import urlsplit

from fastapi import Request
from itsdangerous import BadData, URLSafeTimedSerializer

from langchain_zepstore.server.api_keys import ApiKey, Keys
from langchain_zepstore.server.asgi.sites import is_address
from langchain_zepstore.server.auth import Access, ForbiddenError

SECRET_VARIABLE = "ZEPSTORE_UI_SECRET"  # noqa: S105 - a name
"""Signs the cookies; without it a process has a secret of its own, and sign-ins end with it."""

COOKIE = "zepstore_session"
MAX_AGE = 12 * 60 * 60
"""The seconds after which a sign-in ends."""


class SignInRequiredError(Exception):
    """Nobody is signed in, or the sign-in has ended."""


class Guard:
    """Checks the page's requests.

    Args:
        keys: The keys that may sign in; without any, nobody has to.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._secret = (os.environ.get(SECRET_VARIABLE) or secrets.token_hex()).encode()
        self._serializer = URLSafeTimedSerializer(
            self._secret,
            salt="zepstore page",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    @property
    def has_keys(self) -> bool:
        """Whether somebody has to sign in."""
        return bool(self._keys)

    def check_origin(self, request: Request) -> None:
        """Check that a request is no other site's.

        Without keys the host must be this machine or an address: a name may be an attacker's that
        leads here (DNS rebinding).

        Raises:
            ForbiddenError: It may be another site's.
        """
        host = request.headers.get("host", "")
        if not self._keys and not is_address(host):
            raise ForbiddenError(
                "without API keys the page is shown at localhost and at addresses only"
            )
        if request.method in {"GET", "HEAD"}:
            return
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            is_own = site in {"same-origin", "none"}
        else:
            # Browsers say "null" where the page forbids referrers; then the form's token decides.
            origin = request.headers.get("origin", "null")
            is_own = origin == "null" or urlsplit(origin).netloc.lower() == host.lower()
        if not is_own:
            raise ForbiddenError("the request came from another site")

    def access(self, request: Request) -> Access:
        """Return the rights of a request.

        Raises:
            SignInRequiredError: Nobody is signed in.
        """
        if not self._keys:
            return Access()
        try:
            fingerprint, _ = self._serializer.loads(
                request.cookies.get(COOKIE, ""), max_age=MAX_AGE
            )
        except (BadData, TypeError, ValueError):
            raise SignInRequiredError from None
        for key in self._keys:
            if hmac.compare_digest(self._fingerprint(key), str(fingerprint)):
                return Access(key.user_id, key.read_only, key.name)
        raise SignInRequiredError

    def cookie_of(self, api_key: str) -> str | None:
        """Return the cookie of a new sign-in; ``None`` if the key is unknown."""
        key = self._keys.find(api_key)
        if key is None:
            return None
        return str(self._serializer.dumps([self._fingerprint(key), secrets.token_hex(16)]))

    def token(self, request: Request) -> str:
        """Return the token of forms, which is the sign-in's own."""
        cookie = request.cookies.get(COOKIE, "") if self._keys else ""
        return self._hash("form", cookie.encode())

    def check_token(self, request: Request, token: str) -> None:
        """Check the token of a form.

        Raises:
            ForbiddenError: It is none of this sign-in's.
        """
        if not hmac.compare_digest(self.token(request).encode(), token.encode()):
            raise ForbiddenError("this form is out of date; load the page again")

    def sealed(self, value: object) -> str:
        """Return a value as signed text."""
        return str(self._serializer.dumps(value, salt="zepstore notice"))

    def unsealed(self, text: str) -> object:
        """Return the value of a signed text; ``None`` if it is not one of ours."""
        try:
            return self._serializer.loads(text, max_age=60, salt="zepstore notice")
        except BadData:
            return None

    def _fingerprint(self, key: ApiKey) -> str:
        return self._hash("key", key.digest)

    def _hash(self, purpose: str, value: bytes) -> str:
        return hmac.new(self._secret, purpose.encode() + b":" + value, hashlib.sha256).hexdigest()
