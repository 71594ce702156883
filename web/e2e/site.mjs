/** What the tests of the tracker on other sites share: a site on loopback, a stub collector, a browser, and waiting. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { bodyOf, launch, record } from './recorder.mjs';

export const STEP_MS_MAX = 10_000;
/** Longer than the tracker waits before it sends a batch. */
export const QUIET_MS = 1500;

const listen = async (answer) => {
  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { base: `http://127.0.0.1:${server.address().port}`, close };
};

/** Takes every event, once. */
const stubCollector = () => {
  const seen = new Set();
  return listen(async (incoming, outgoing) => {
    const { events } = JSON.parse((await bodyOf(incoming)).toString());
    const before = seen.size;
    for (const { id } of events) seen.add(id);
    outgoing.writeHead(202, {
      'content-type': 'application/json',
      'access-control-allow-origin': incoming.headers.origin ?? '*',
    });
    outgoing.end(JSON.stringify({ received: events.length, accepted: seen.size - before }));
  });
};

const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8' };
const { resolve } = createRequire(import.meta.url);

/** Serves `pages` (path: HTML), the built tracker under /js/, and `packages` (path: a file of an npm package). */
const site = (dist, pages, packages) =>
  listen(async (incoming, outgoing) => {
    const { pathname } = new URL(incoming.url, 'http://site');
    const script = /^\/js\/(consentry(-managers)?\.js)$/.exec(pathname)?.[1];
    const file = script ? join(dist, script) : packages[pathname] && resolve(packages[pathname]);
    const body = pages[pathname] ?? (file && (await readFile(file)));
    outgoing.writeHead(body ? 200 : 404, { 'content-type': TYPES[pathname.split('.')[1] ?? 'html'] });
    outgoing.end(body);
  });

/** A page with the tracker, its attributes, and room for whatever else stands in its head and body. */
export const page = ({ title, tracker = '', head = '', body = '' }) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title}</title>
    <link rel="icon" href="data:,">
    ${head}
    <script defer src="/js/consentry.js" data-site="demo" ${tracker}></script>
  </head>
  <body>
    <h1>${title}</h1>
    <button type="button" data-point="shop.buy">Buy</button>
    ${body}
  </body>
</html>`;

/**
 * The events sent so far. One that came twice counts once, as it does for a collector: a page that goes away while a
 * batch is under way cannot know whether it arrives, and sends it again.
 */
export const eventsOf = (log, type) => {
  const events = new Map(log.envelopes.flatMap((envelope) => envelope.events).map((event) => [event.id, event]));
  return [...events.values()].filter((event) => !type || event.type === type);
};

export const until = async (what, holds) => {
  const deadline = Date.now() + STEP_MS_MAX;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${STEP_MS_MAX} ms for: ${what}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
};

export const quiet = (page) => page.waitForTimeout(QUIET_MS);

/** What the tracker left in the browser; the site's and its manager's own are not ours. */
export const stored = (page) =>
  page.evaluate(() => Object.keys({ ...localStorage, ...sessionStorage }).filter((key) => key.startsWith('consentry')).sort());

/**
 * Runs `test(browser, base, log)` on a site of `pages(endpoint)`; `collector` is a base URL, or nothing for the stub.
 * Prints what `test` resolves to as one line of JSON, or one sentence on stderr and exit code 1.
 */
export const run = async ({ name, dist, collector, pages, packages = {}, test }) => {
  const stub = collector ? undefined : await stubCollector();
  const log = await record(collector ?? stub.base);
  const { base, close } = await site(dist, pages(`${log.base}/v1/events`), packages);
  const browser = await launch();
  try {
    const elsewhere = [];
    const newContext = async () => {
      const context = await browser.newContext();
      context.on('request', (request) => {
        const ours = [base, log.base, 'data:', 'about:'].some((prefix) => request.url().startsWith(prefix));
        if (!ours) elsewhere.push(request.url());
      });
      return context;
    };
    const result = await test({ newContext, base, log });
    assert.deepEqual(elsewhere, [], 'no request to anybody else');
    console.log(JSON.stringify(result));
  } catch (error) {
    console.error(`${name}: ${error.message}`);
    process.exitCode = 1;
  } finally {
    await browser.close();
    log.close();
    close();
    stub?.close();
  }
};
