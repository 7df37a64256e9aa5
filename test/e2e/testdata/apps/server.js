// A member's web program in Node, without a package: a page, a WebSocket that
// echoes short texts, and a stream of events that does not end.
const http = require('node:http');
const { createHash } = require('node:crypto');

const server = http.createServer((request, response) => {
  if (request.url === '/events') {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('data: first\n\n');
    return;
  }
  response.end('<h1>a page by Node</h1>\n');
});

server.on('upgrade', (request, socket) => {
  const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ' +
    createHash('sha1').update(key).digest('base64') + '\r\n\r\n');
  socket.on('error', () => socket.destroy());
  let got = Buffer.alloc(0);
  socket.on('data', (part) => {
    got = Buffer.concat([got, part]);
    for (;;) { // a frame: two bytes, four of the mask, the text
      const length = got.length < 2 ? 0 : got[1] & 0x7f;
      if (got.length < 6 + length) return;
      const text = Buffer.from(got.subarray(6, 6 + length).map((byte, i) => byte ^ got[2 + (i % 4)]));
      const closes = (got[0] & 0x0f) === 8;
      socket.write(Buffer.concat([Buffer.from([closes ? 0x88 : 0x81, text.length]), text]));
      if (closes) { socket.end(); return; }
      got = got.subarray(6 + length);
    }
  });
});

server.listen(process.env.PORT, process.env.HOST, () => console.log('listens on', process.env.PORT));
