/**
 * A server on loopback that passes each request on to the collector and keeps what was posted to /v1/events.
 * The browser's own tools do not tell of a beacon that is sent while its page goes away; the wire does.
 */
import { createServer, request } from 'node:http';

const bodyOf = async (stream) => {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
};

/** Resolves to the recorder's own base URL, the envelopes and the answers' statuses so far, and `close()`. */
export const record = async (base) => {
  const target = new URL(base);
  const log = { envelopes: [], statuses: [] };

  const pass = async (incoming, outgoing) => {
    const body = await bodyOf(incoming);
    const isEvents = incoming.method === 'POST' && incoming.url.startsWith('/v1/events');
    if (isEvents) log.envelopes.push(JSON.parse(body.toString()));
    const { method, url: path, headers } = incoming;
    const forwarded = request({ host: target.hostname, port: target.port, method, path, headers }, (answer) => {
      if (isEvents) log.statuses.push(answer.statusCode);
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.writeHead(502).end());
    forwarded.end(body);
  };

  const server = createServer((incoming, outgoing) => {
    pass(incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { ...log, base: `http://127.0.0.1:${server.address().port}`, close };
};
