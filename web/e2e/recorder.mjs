/**
 * A server on loopback that passes each request on to the collector and keeps what was posted to /v1/events.
 * The browser's own tools do not tell of a beacon that is sent while its page goes away; the wire does.
 */
import { createServer, request } from 'node:http';
import { chromium } from 'playwright-core';

export const bodyOf = async (stream) => {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
};

/**
 * Resolves to a log: the recorder's own base URL, the envelopes with the moment each came in, the answers and their
 * statuses so far, and `close()`. While `busy` is above zero the recorder answers 503 itself and counts it down.
 */
export const record = async (base) => {
  const target = new URL(base);
  const log = { envelopes: [], moments: [], statuses: [], answers: [], busy: 0, retryAfterS: 2 };

  const refuse = (incoming, outgoing) => {
    log.busy--;
    log.statuses.push(503);
    const { origin = '*' } = incoming.headers;
    outgoing.writeHead(503, {
      'retry-after': `${log.retryAfterS}`,
      'access-control-allow-origin': origin,
      'access-control-expose-headers': 'retry-after',
    });
    outgoing.end();
  };

  const pass = async (incoming, outgoing) => {
    const body = await bodyOf(incoming);
    const isEvents = incoming.method === 'POST' && incoming.url.startsWith('/v1/events');
    if (isEvents) {
      log.envelopes.push(JSON.parse(body.toString()));
      log.moments.push(Date.now());
      if (log.busy > 0) return refuse(incoming, outgoing);
    }
    const { method, url: path, headers } = incoming;
    const forwarded = request({ host: target.hostname, port: target.port, method, path, headers }, (answer) => {
      if (isEvents) {
        log.statuses.push(answer.statusCode);
        bodyOf(answer).then((text) => log.answers.push(JSON.parse(text.toString() || '{}')), () => {});
      }
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
  return Object.assign(log, { base: `http://127.0.0.1:${server.address().port}`, close });
};

/** Chromium (CHROMIUM names another path), without the traffic that it makes by itself. */
export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
