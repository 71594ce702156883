/**
 * CookieConsent 3 (vanilla-cookieconsent): `data-consent="cookieconsent"`, `data-consent-category` (default analytics).
 * Where a bundler hides its API, what it told before we listened is read from its cookie, reduced to the one choice.
 */

import { listen } from '../safe.ts';
import { heed, retry, type Watch } from './watch.ts';

const COOKIE = 'cc_cookie=';

export const cookieconsent: Watch = (say, { consentCategory = 'analytics' }) => {
  let heard = false;
  const hear = heed(say, (choice: any) => {
    heard = true;
    say(choice.categories.includes(consentCategory) ? 'granted' : 'denied');
  });
  for (const event of ['cc:onConsent', 'cc:onChange']) listen(window, event, ({ detail }) => hear(detail.cookie));
  retry(() => {
    const api = window.CookieConsent;
    if (heard) return true;
    if (api) {
      if (api.validConsent()) hear(api.getCookie());
    } else if (document.readyState === 'complete' && !document.documentElement.matches('.show--consent')) {
      const cookie = document.cookie.split('; ').find((each) => each.startsWith(COOKIE));
      hear(JSON.parse(decodeURIComponent(cookie!.slice(COOKIE.length))));
    }
    return heard;
  });
};
