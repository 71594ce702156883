/** IAB TCF 2.2 and later, CMP API version 2: `data-consent="tcf"`, see `reader` for the attributes. */

import { heed, retry, type Options, type State, type Watch } from './watch.ts';

type Has = (id: string) => unknown;

/**
 * The server's own reading of a TC string. With `data-consent-vendor`: all purposes (`data-consent-tcf-purposes`,
 * default 1, 8, 9 and 10) and that vendor. Without: the purposes of the publisher, or those of the core string where
 * `data-consent-tcf-core` is there. Legitimate interest is not consent.
 */
export const reader =
  ({ consentVendor, consentTcfPurposes, consentTcfCore }: Options) =>
  (core: Has, publisher: Has, vendor: Has, restriction: (id: string) => unknown): State => {
    const purposes = consentTcfPurposes?.match(/\d+/g) || ['1', '8', '9', '10'];
    const agreed = purposes.every(consentVendor || consentTcfCore != null ? core : publisher);
    // Restriction 1 asks for consent, which is what counts here; 0 forbids and 2 means legitimate interest.
    const free = !consentVendor || (vendor(consentVendor) && purposes.every((id) => (restriction(id) ?? 1) === 1));
    return agreed && free ? 'granted' : 'denied';
  };

export const tcf: Watch = (say, options) => {
  const { consentVendor = '' } = options;
  const read = reader(options);
  const hear = heed(say, (data: any, success: boolean): void => {
    if (!success) return say('unknown');
    // `cmpuishown`: the visitor is looking at the question.
    if (!/^(tcloaded|useractioncomplete)$/.test(data.eventStatus)) return;
    const { gdprApplies, purpose, publisher, vendor, tcString } = data;
    if (gdprApplies === false || !tcString) return say('unknown');
    const state = read(
      (id) => purpose.consents[id] === true,
      (id) => publisher.consents[id] === true,
      (id) => vendor.consents[id] === true,
      (id) => publisher.restrictions?.[id]?.[consentVendor],
    );
    say(state, { tcf: tcString });
  });
  retry(() => {
    window.__tcfapi('addEventListener', 2, hear);
  });
};
