/** Makes a link for somebody without a token: read-only, one site, for a while, with noise if wanted. */
import { share } from './api.ts';
import { button, fill, h, openDialog, select } from './dom.ts';
import type { Page } from './page.ts';
import { rangeName } from './period.ts';

const DAYS = [
  ['1', '1 day'],
  ['7', '7 days'],
  ['30', '30 days'],
] as const;
const NOISE = [
  ['', 'none'],
  ['1', 'epsilon 1'],
  ['0.5', 'epsilon 0.5'],
  ['0.1', 'epsilon 0.1'],
] as const;

export const openShare = (page: Page): void => {
  let [days, epsilon] = ['7', ''];
  const made = h('div', { role: 'status' });
  const make = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    try {
      const answer = await share({
        site: page.state.site,
        date_range: page.state.period,
        expires_in_s: Number(days) * 86_400,
        ...(epsilon ? { epsilon: Number(epsilon) } : {}),
      });
      const link = h('input', { type: 'text', readonly: true, value: new URL(answer.path, location.origin).href, 'aria-label': 'The link' });
      const until = new Date(answer.expires_at);
      const when = Number.isNaN(until.getTime()) ? answer.expires_at : until.toLocaleString('en-GB');
      fill(made, h('p', {}, `Works until ${when}. Whoever has the link can read the figures of ${page.state.site}.`), link);
      link.select();
    } catch (fault) {
      fill(made, h('p', { class: 'fault' }, (fault as Error).message));
    }
  };
  openDialog(
    'Share these figures',
    h('p', {}, `A link that shows ${page.state.site}, ${rangeName(page.state.period, page.site.time_zone)}, and changes nothing. Groups of fewer than ${page.site.k_anonymity} visitors stay withheld.`),
    h(
      'form',
      { class: 'dialog-tools', onsubmit: make },
      select('Works for', DAYS, days, (chosen) => (days = chosen)),
      select('Noise', NOISE, epsilon, (chosen) => (epsilon = chosen)),
      h('button', { type: 'submit' }, 'Make the link'),
    ),
    h('p', { class: 'soft' }, 'Noise (Laplace) blurs each number; a smaller epsilon blurs more. The shared page says so.'),
    made,
    button('Done', (event) => (event.currentTarget as HTMLElement).closest('dialog')?.close(), { class: 'quiet' }),
  );
};
