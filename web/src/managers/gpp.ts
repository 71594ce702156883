/**
 * IAB GPP 1.1: `data-consent="gpp"`. The European section is read as TCF, with its attributes. The sections of the US
 * and its states are opt-outs: they can object and never grant.
 */

import { reader } from './tcf.ts';
import { heed, retry, type State, type Watch } from './watch.ts';

/** Managers give a list as the ids that are set, or as one boolean for each id, beginning with 1. */
const has =
  (list: unknown[] = []) =>
  (id: string): boolean =>
    list[+id - 1] === true || list.includes(+id);

const read = (sections: Record<string, any>, readTcf: ReturnType<typeof reader>): State => {
  let state: State = 'unknown';
  for (const [name, section] of Object.entries(sections)) {
    // The parts of a section come apart or as one.
    const all = Object.assign({}, ...[section].flat());
    if (name === 'tcfeuv2') {
      const tcf = readTcf(
        has(all.PurposeConsents || all.PurposeConsent),
        has(all.PublisherConsents || all.PubPurposesConsent),
        has(all.VendorConsents || all.VendorConsent),
        // Restrictions are left to the server, which reads the string.
        () => undefined,
      );
      if (state === 'unknown') state = tcf;
    } else if (/^us/.test(name)) {
      const { SaleOptOut, SharingOptOut, TargetedAdvertisingOptOut, Gpc, OptOutSale } = all;
      const out = [SaleOptOut, SharingOptOut, TargetedAdvertisingOptOut, Gpc].some((field) => +field === 1);
      if (out || OptOutSale === 'Y') state = 'denied';
    }
  }
  return state;
};

export const gpp: Watch = (say, options) => {
  const readTcf = reader(options);
  const hear = heed(say, ({ pingData: { signalStatus, gppString, parsedSections } }: any) => {
    // Not ready: the visitor is looking at the question.
    if (signalStatus === 'ready') say(read(parsedSections, readTcf), { gpp: gppString });
  });
  retry(() => {
    window.__gpp('addEventListener', hear);
  });
};
