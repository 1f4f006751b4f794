"""One word to a webhook when a sweep has ended."""

from __future__ import annotations

import http.client
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from jobs import redact

TIMEOUT = 10.0  # seconds
log = logging.getLogger(__name__)


def send(variable: str, said: Mapping[str, Any]) -> bool:
    """POST ``said`` as JSON to the URL in an environment variable; whether it was taken.

    A failure is one warning, without the URL, and nothing more.
    """
    url = os.environ.get(variable, "")
    try:
        if not url.startswith(("http://", "https://")):
            raise ValueError("it holds no http URL" if url else "it is not set here")
        request = urllib.request.Request(
            url, json.dumps(said, allow_nan=False).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            return True
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = redact.text(str(error), [variable])
        log.warning("the webhook in %s was not told of the end: %s", variable, why)
        return False
