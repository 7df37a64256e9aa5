"""A server that is there at once, and well only when the file "well" is."""
import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Slow(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path != "/ok" or os.path.exists("well") else 500)
        self.end_headers()
        self.wfile.write(b"a page by Python")


HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Slow).serve_forever()
