"""The pages over HTTPS with a certificate of one's own."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.test_standalone import SECONDS, own_home, standalone, tradewind
from tests.services.test_mail_over_tls import certificate_for_this_machine
from tradewind.config import load_config

pytestmark = [pytest.mark.slow, pytest.mark.blocks_the_loop]

__all__ = ["own_home"]  # the fixture

END = "-----END PRIVATE KEY-----\n"


@pytest.fixture
def pair(own_home: Path) -> tuple[Path, Path]:
    """Certificate and key, each in a file."""
    key, _, certificate = certificate_for_this_machine(own_home).read_text().partition(END)
    (own_home / "privatekey.pem").write_text(key + END)
    (own_home / "certificate.pem").write_text(certificate)
    return own_home / "certificate.pem", own_home / "privatekey.pem"


@pytest.mark.spec("3:X12", "3:9:webserver.web_server_ssl_cert / _ssl_key")
def test_https_is_served_and_http_is_not(own_home: Path, pair: tuple[Path, Path]) -> None:
    certificate, key = pair
    variables = {
        "AIRFLOW__WEBSERVER__WEB_SERVER_SSL_CERT": str(certificate),
        "AIRFLOW__WEBSERVER__WEB_SERVER_SSL_KEY": str(key),
    }
    with standalone(own_home, **variables) as (_, where):
        url = where["Pages"].replace("localhost", "127.0.0.1")
        assert url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(f"{url}/api/v1/health", timeout=SECONDS, context=trusting) as answer:
            assert b"healthy" in answer.read()
        with pytest.raises((urllib.error.URLError, OSError)):
            urllib.request.urlopen(f"{url}/api/v1/health".replace("https", "http"), timeout=SECONDS)
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(f"{url}/api/v1/health", timeout=SECONDS, context=ssl.create_default_context())


def test_a_certificate_that_is_none_says_so(own_home: Path, pair: tuple[Path, Path]) -> None:
    (own_home / "tradewind.toml").write_text("[web]\nport = 0\nssl_cert = 'certificate.pem'\n")
    assert load_config(own_home, environ={}).web.ssl_cert == "certificate.pem"
    done = tradewind(own_home, "standalone", "--no-examples")
    assert done.returncode == 2, done.stdout
    assert f"no certificate with its key can be read from {pair[0]} (web.ssl_cert)" in done.stderr
