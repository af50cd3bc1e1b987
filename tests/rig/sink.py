"""A mail server or a web server that writes down what it gets.

    sink.py FOLDER smtp|smtps|starttls|http|https STATUS...

Each message is a file in FOLDER, with its number as the name; a web request has its headers in `<number>.headers`. The port is
in FOLDER/port. The servers that encrypt have a certificate for localhost, from an authority that is in FOLDER/ca.pem. Mail
servers that encrypt want the user "vscan" with the password "secret". STATUS is what messages are answered with, one after the
other, the last one for all that follow: 250 or 554, 200 or 503.
"""

import asyncio
import datetime
import http.server
import ipaddress
import itertools
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

FOLDER, KIND, *STATUSES = sys.argv[1:]
answers = itertools.chain(STATUSES, itertools.repeat(STATUSES[-1]))
numbers = itertools.count()


def path(name):
    return os.path.join(FOLDER, str(name))


def write(name, content):
    """A file is there whole or not at all."""
    with open(path(f"{name}.part"), "wb") as file:
        file.write(content)
    os.rename(path(f"{name}.part"), path(name))


def certificate(name, issuer=None, signer=None):
    """A key and a certificate; without an issuer, an authority's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return key, builder.sign(signer or key, hashes.SHA256())


def encryption():
    ca_key, ca = certificate("rig authority")
    key, own = certificate("localhost", ca.subject, ca_key)
    write("ca.pem", ca.public_bytes(serialization.Encoding.PEM))
    write("cert.pem", own.public_bytes(serialization.Encoding.PEM))
    unencrypted = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    write("key.pem", key.private_bytes(serialization.Encoding.PEM, form, unencrypted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path("cert.pem"), path("key.pem"))
    return context


class MailSink:
    async def handle_DATA(self, server, session, envelope):
        status = next(answers)
        if status.startswith("2"):
            write(next(numbers), envelope.content)
        return f"{status} {'taken' if status.startswith('2') else 'not taken'}"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"vscan", b"secret"))


class WebSink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.rfile.read(int(self.headers["content-length"]))
        status = next(answers)
        if status.startswith("2"):
            number = next(numbers)
            write(f"{number}.headers", str(self.headers).encode())
            write(number, content)
        self.send_response(int(status))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


async def serve_mail():
    context, options = None, {}
    if KIND == "smtps":
        context, options = encryption(), {"auth_require_tls": False}
    elif KIND == "starttls":
        options = {"tls_context": encryption(), "require_starttls": True}
    if options:
        options |= {"authenticator": authenticate, "auth_required": True}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(MailSink(), **options), "127.0.0.1", 0, ssl=context)
    write("port", str(server.sockets[0].getsockname()[1]).encode())
    await server.serve_forever()


def serve_web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WebSink)
    if KIND == "https":
        server.socket = encryption().wrap_socket(server.socket, server_side=True)
    write("port", str(server.server_address[1]).encode())
    server.serve_forever()


serve_web() if KIND.startswith("http") else asyncio.run(serve_mail())
