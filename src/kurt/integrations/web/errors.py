"""What can go wrong between us and a server.

WebError
  InvalidUrlError          it is no http or https address
  AddressRefusedError      the server has an address that is not public
  RobotsRefusedError       the site's robots.txt does not allow it
  TooManyRedirectsError
  TooLargeError            the body is larger than the limit, as it is sent or after decompression
  BodyError                the body is not compressed as its headers say
  WebTimeoutError          it took longer than the limit
  UnreachableError         no connection, no such name, or the connection broke
  StatusError              the server answered with a status that is no success
"""

from __future__ import annotations

from kurt.errors import KurtError


class WebError(KurtError):
    """The page could not be had.

    Attributes:
        url: what was asked for, None where there was no address.
        transient: whether the same request may succeed later.
    """

    code = "web"
    transient = False

    def __init__(
        self, message: str | None = None, *, url: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.url = url


class InvalidUrlError(WebError):
    """The address is neither http nor https."""

    code = "web_invalid_url"


class AddressRefusedError(WebError):
    """The server has an address that is not public."""

    code = "web_address_refused"


class RobotsRefusedError(WebError):
    """The site's robots.txt does not allow this page."""

    code = "web_robots"


class TooManyRedirectsError(WebError):
    """There are too many redirects."""

    code = "web_redirects"


class TooLargeError(WebError):
    """The body is too large."""

    code = "web_too_large"


class BodyError(WebError):
    """The body is not compressed as its headers say."""

    code = "web_body"


class WebTimeoutError(WebError):
    """The server did not answer in time."""

    code = "web_timeout"
    transient = True


class UnreachableError(WebError):
    """The server cannot be reached."""

    code = "web_unreachable"
    transient = True


class StatusError(WebError):
    """The server answered with a status that is no success.

    Attributes:
        status: the code.
    """

    code = "web_status"

    def __init__(
        self, message: str | None = None, *, status: int, url: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, url=url, hint=hint)
        self.status = status
        self.transient = status == 429 or status >= 500
