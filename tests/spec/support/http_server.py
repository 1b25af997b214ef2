"""HTTP server of specs: http_server.py PATH-OF-SOCKET [DIR]. Prints its TCP port, serves both.

/tree/NAME is the file NAME of DIR; /half/NAME breaks off in its middle, unless a range is asked for.
"""
import http.server
import os
import socketserver
import sys
import threading

DATA = bytes(range(256)) * 4096
# Another version of the same size, and a shorter one.
OTHER = bytes(reversed(DATA))
SHORT = b"short" * 10000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served = "nothing"  # what the last answer of serve() was

    def address_string(self):
        return "test"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            if self.command != "HEAD":
                self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True

    def serve(self, data, careful=True, **headers):
        wanted = self.headers.get("Range")
        known = self.headers.get("If-Range")
        versions = (headers.get("ETag"), headers.get("Last_Modified"))
        if wanted and (known is None or known in versions or not careful):
            first = int(wanted.split("=")[1].rstrip("-"))
            if first >= len(data):
                self.answer(416, Content_Range=f"bytes */{len(data)}")
            else:
                Handler.served = "the rest"
                self.answer(206, data[first:], **headers,
                            Content_Range=f"bytes {first}-{len(data) - 1}/{len(data)}")
        else:
            Handler.served = "all"
            self.answer(200, data, **headers)

    def cut(self, **headers):
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA[:100000])
        self.close_connection = True

    def file(self, name):
        with open(os.path.join(sys.argv[2], name), "rb") as file:
            return file.read()

    def half(self, data):
        self.send_response(200)
        self.send_header("ETag", '"half"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:len(data) // 2])
        self.close_connection = True

    def endless(self):
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(DATA)
        except ConnectionError:
            self.close_connection = True

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/endless":
            return self.endless()
        if path.startswith("/tree/"):
            self.serve(self.file(path[6:]), ETag='"tree"')
        elif path.startswith("/half/") and not self.headers.get("Range"):
            self.half(self.file(path[6:]))
        elif path.startswith("/half/"):
            self.serve(self.file(path[6:]), ETag='"half"')
        elif path == "/hello":
            self.answer(200, b"hello", X_Test="  yes ")
        elif path == "/served":
            self.answer(200, Handler.served.encode())
        elif path == "/headers":
            self.answer(200, self.headers.get("X-Mine", "").encode())
        elif path == "/file":
            self.serve(DATA, ETag='"one"')
        elif path == "/other":
            self.serve(OTHER, ETag='"two"')
        elif path == "/short":
            self.serve(SHORT, ETag='"three"')
        elif path == "/careless":
            self.serve(OTHER, careful=False, ETag='"two"')
        elif path == "/dated":
            self.serve(DATA, ETag='W/"weak"', Last_Modified="Tue, 24 Nov 2026 00:00:00 GMT")
        elif path == "/untold":
            self.serve(DATA)
        elif path == "/vague" and self.headers.get("Range"):
            self.answer(416)
        elif path == "/vague":
            self.serve(DATA, ETag='"one"')
        elif path == "/choices":
            self.answer(300, b"choose")
        elif path == "/unchanged":
            self.answer(304)
        elif path == "/norange":
            self.answer(200, DATA)
        elif path == "/redirect":
            self.answer(302, b"not the file", Location="/file")
        elif path == "/to-file-url":
            self.answer(302, Location="file:///etc/passwd")
        elif path == "/slow":
            # Never, as far as the client can tell: until it has hung up.
            self.rfile.read(1)
            self.close_connection = True
        elif path == "/cut":
            self.cut(ETag='"one"')
        elif path == "/cut-dated":
            self.cut(ETag='W/"weak"', Last_Modified="Tue, 24 Nov 2026 00:00:00 GMT")
        elif path == "/cut-untold":
            self.cut()
        else:
            self.answer(404, b"no such page")

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201, self.command.encode() + b":" + body)

    do_PUT = do_POST


class TcpServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients of this server abort on purpose


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


tcp = TcpServer(("127.0.0.1", 0), Handler)
unix = UnixServer(sys.argv[1], Handler)
threading.Thread(target=unix.serve_forever, daemon=True).start()
print(tcp.server_port, flush=True)
threading.Thread(target=tcp.serve_forever, daemon=True).start()
# Ends with the spec that started it: its standard input closes.
sys.stdin.read()
os._exit(0)
