"""The HTTP/1.1 server of the emulator on loopback, which also delays, cuts and slows answers for faults."""

import argparse
import time
from urllib.parse import parse_qsl, urlsplit

from deployments.sandbox.host.host import Host
from deployments.sandbox.host.http_messages import Request
from deployments.sandbox.host.loopback import Listener, QuietRequest, Server, stop_signal
from deployments.sandbox.host.ssh_gateway import SshGateway

DROPS = 10  # pieces of a dripping body


class _Shell(QuietRequest):
    """Converts HTTP requests to `Request` and `Response` to HTTP answers. The journal has all requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = (
        True  # head and body leave apart: without this, each body waits 40 ms for the client's ACK
    )
    host: Host

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        name = headers.get("host", "127.0.0.1").rsplit(":", 1)[0]
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        response = self.host.handle(Request(self.command, name, parts.path, query, headers, body))
        time.sleep(response.delay)
        if response.cut:
            self.close_connection = True
            return
        self.send_response(response.status)
        for key, value in response.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        step = max(1, -(-len(response.body) // DROPS)) if response.drip else max(1, len(response.body))
        for start in range(0, len(response.body), step):
            self.wfile.write(response.body[start : start + step])
            self.wfile.flush()
            time.sleep(response.drip / DROPS)

    do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _answer  # names that http.server calls


def serve(emulated: Host, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Serve an emulated host on a loopback port; 0 takes a free one. The API is below `/v1`."""
    return Server(Listener((host, port), type("Shell", (_Shell,), {"host": emulated})))


def main() -> None:
    """Run the emulator alone until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="A local emulator of the hosting API 1.17, with named faults.")
    parser.add_argument("--port", type=int, default=8900, help="loopback port; 0 takes a free one")
    parser.add_argument("--state", default=":memory:", help="SQLite file that keeps the estate over restarts")
    parser.add_argument(
        "--scale", type=float, default=1 / 60, help="our seconds for one of the host's; 1/60 by default"
    )
    parser.add_argument("--ssh-port", type=int, default=0, help="loopback port of the SSH gateway; 0 takes a free one")
    options = parser.parse_args()
    ended = stop_signal()
    emulated = Host(options.state, scale=options.scale)
    server = serve(emulated, port=options.port)
    gateway = SshGateway(emulated, port=options.ssh_port)
    print(
        f"Hosting API on {server.url}/v1 (user demo, password demo); switchboard on {server.url}/_sandbox/; "
        f"SSH gateway on {gateway.address}",
        flush=True,
    )
    ended.wait()
    gateway.close()
    server.close()
    emulated.close()
