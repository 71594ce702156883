/** A tab with the dashboard, and what can be said of it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

export const NARROW_PX = 360;
/** For a machine that does much else at the time. */
const STEP_MS_MAX = 30_000;
const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/**
 * Opens a tab at `base`, with `token` as if it had been entered. `close` fails where something went wrong there: an error, a broken
 * policy, a request to anybody else.
 */
export const opener = (browser, base, token) => async ({ enter = true, path = '/dashboard', expected = /^$/, ...options } = {}) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options });
  const faults = [];
  context.on('request', (asked) => {
    if (![base, 'data:', `blob:${base}`].some((own) => asked.url().startsWith(own))) faults.push(`request to ${asked.url()}`);
  });
  await context.addInitScript((kept) => {
    globalThis.broken = [];
    document.addEventListener('securitypolicyviolation', ({ violatedDirective }) => globalThis.broken.push(violatedDirective));
    if (kept) sessionStorage.setItem('consentry.token', kept);
  }, enter ? token : '');
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS_MAX);
  page.on('console', (said) => {
    if (said.type() === 'error' && !expected.test(said.text())) faults.push(`console: ${said.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  const answer = await page.goto(`${base}${path}`);
  const close = async () => {
    faults.push(...(await page.evaluate(() => globalThis.broken)));
    assert.deepEqual(faults, [], 'no error, nothing that the policy forbids, no request to anybody else');
    await context.close();
  };
  return { page, answer, close };
};

export const until = async (what, holds) => {
  const deadline = Date.now() + STEP_MS_MAX;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${STEP_MS_MAX} ms for: ${what}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
};
export const none = async (page, selector, why = selector) => assert.equal((await page.$$(selector)).length, 0, why);
/** Closes the dialog, and waits until it is gone. */
export const escape = async (page) => {
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
};

/** Waits until every card shows what it has. */
export const settled = async (page) => {
  await page.waitForSelector('.tile-value');
  const waiting = () => page.$$eval('.card', (cards) => (cards.length > 8 ? cards.filter((card) => card.ariaBusy).map(({ id }) => id) : ['all']));
  try {
    await until('all cards are loaded', async () => (await waiting()).length === 0);
  } catch (error) {
    throw new Error(`${error.message}; still waiting: ${await waiting()}`);
  }
};
export const tile = (page, metric) => page.textContent(`.tile[data-metric=${metric}] .tile-value`);
/** The rows of a card's table: the value behind the name, then the cells. */
export const rowsOf = (page, card) =>
  page.$$eval(`#${card} tbody tr:not(.withheld)`, (rows) => rows.map((row) => [row.querySelector('.row-name')?.dataset.value, ...[...row.querySelectorAll('td')].map((cell) => cell.textContent)]));
export const shown = (number) => new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 }).format(number);
export const shooter = (shots) => (page, name) => page.screenshot({ path: join(shots, `dashboard-${name}.png`), fullPage: true });

/** Fails on what axe calls serious or critical; gives the rest. */
export const accessible = async (page, where) => {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`).join(' | ')}`);
  assert.deepEqual(serious, [], `axe, ${where}`);
  return violations.map(({ id, impact }) => `${id} (${impact})`);
};
/** The page as a whole does not scroll sideways. */
export const fits = async (page, where) => {
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= NARROW_PX, `${where} is ${width} px wide on a screen of ${NARROW_PX}`);
};
