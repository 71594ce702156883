/** The last 30 minutes, asked again every half minute while the page is in sight. */
import { realtime } from './api.ts';
import { button, h } from './dom.ts';
import { count } from './format.ts';
import type { Page, Panel } from './page.ts';
import { card } from './panel.ts';

const EVERY_MS = 30_000;
/** An answer that is older stands in for one that would tell of a few. */
const STANDS_MS = 90_000;

export const now = (page: Page): Panel => {
  const { element, run } = card('Now', 'realtime');
  let timer: ReturnType<typeof setTimeout> | undefined;
  const load = async (signal: AbortSignal): Promise<void> => {
    clearTimeout(timer);
    if (document.hidden) {
      document.addEventListener('visibilitychange', () => void load(signal).catch(() => undefined), { once: true, signal });
      return;
    }
    await run(signal, async () => {
      const answer = await realtime(page.state.site, signal);
      const k = answer.k_anonymity;
      const most = Math.max(...answer.minutes.map((views) => views ?? 0), 1);
      const bars = answer.minutes.map((views) => {
        const bar = h('span', { class: views === null ? 'minute unknown' : 'minute' });
        bar.style.blockSize = `${Math.max(2, (100 * (views ?? 0)) / most)}%`;
        return bar;
      });
      const end = answer.as_of ? Date.parse(answer.as_of) : Date.now();
      const stands = Date.now() - end > STANDS_MS && new Date(end).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', timeZone: page.site.time_zone });
      const views = answer.minutes.reduce<number>((sum, minute) => sum + (minute ?? 0), 0);
      return [
        h(
          'p',
          { class: 'now' },
          h('strong', {}, answer.visitors !== null ? count(answer.visitors) : answer.withheld === 'difference' ? 'withheld' : `fewer than ${k}`),
          ' visitors in the last 30 minutes',
        ),
        stands && h('p', { class: 'soft' }, `As of ${stands}: since then fewer than ${k} came or went.`),
        h('div', { class: 'minutes', role: 'img', 'aria-label': `Page views by minute, at most ${count(most)}; ${count(views)} in all` }, bars),
        answer.pages.length > 0 &&
          h(
            'table',
            {},
            h('caption', { class: 'unseen' }, 'Pages visited now'),
            h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Page'), h('th', { scope: 'col' }, 'Visitors'))),
            h(
              'tbody',
              {},
              answer.pages.slice(0, 5).map(({ page: path, visitors }) =>
                h('tr', {}, h('th', { scope: 'row' }, button(path, () => page.toggleFilter('event:page', path), { class: 'row-name' })), h('td', {}, count(visitors))),
              ),
            ),
          ),
      ];
    });
    if (!signal.aborted) timer = setTimeout(() => void load(signal).catch(() => undefined), EVERY_MS);
  };
  return { element, key: () => page.state.site, load };
};
