/** Didomi: `data-consent="didomi"`, `data-consent-purpose` (no default: the purpose's id is the site's own). */

import { safe } from '../safe.ts';
import { ask, stateOf, type Watch } from './watch.ts';

export const didomi: Watch = (say, { consentPurpose = '' }) => {
  (window.didomiOnReady ||= []).push(
    safe((api: any) => {
      const again = ask(say, () => {
        // A purpose that nobody has decided on is in neither list.
        const { enabled, disabled } = api.getUserStatus().purposes.consent;
        return stateOf(enabled.includes(consentPurpose), [...enabled, ...disabled].includes(consentPurpose));
      });
      api.on('consent.changed', again);
    }),
  );
};
