/**
 * TrustArc: `data-consent="trustarc"`, `data-consent-bucket` (default 1, counted from 0 as in its cookie; its API counts
 * from 1). What it calls implied is no answer.
 */

import { listen } from '../safe.ts';
import { ask, stateOf, type Watch } from './watch.ts';

export const trustarc: Watch = (say, { consentBucket = '1' }) => {
  let registered = false;
  const again = ask(say, () => {
    const { consentDecision, source } = window.PrivacyManagerAPI.callApi('getGDPRConsentDecision', location.host);
    if (!registered) {
      registered = true;
      const request = { action: 'getConsentDecision', timestamp: Date.now(), self: location.host };
      // From now on it posts a message when the choice changes.
      postMessage(JSON.stringify({ PrivacyManagerAPI: request }), location.origin);
    }
    return stateOf(consentDecision.includes(+consentBucket + 1), source === 'asserted');
  });
  // Anybody can post a message: it makes us ask, and is not believed.
  listen(window, 'message', ({ data }) => {
    if (/PrivacyManagerAPI|preference_manager/.test(data)) again();
  });
};
