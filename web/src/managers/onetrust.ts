/** OneTrust: `data-consent="onetrust"`, `data-consent-group` (default C0002). Without an answer its groups are a default. */

import { ask, stateOf, type Watch } from './watch.ts';

export const onetrust: Watch = (say, { consentGroup = 'C0002' }) => {
  ask(
    say,
    () => {
      const api = window.OneTrust;
      // Valid: also not older than a change that asks again.
      const answered = api.IsAlertBoxClosedAndValid ? api.IsAlertBoxClosedAndValid() : api.IsAlertBoxClosed();
      return stateOf(window.OnetrustActiveGroups.split(',').includes(consentGroup), answered);
    },
    'OneTrustGroupsUpdated',
  );
};
