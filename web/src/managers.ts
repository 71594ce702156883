/**
 * Reads the consent managers that a server cannot see, served as /js/consentry-managers.js. The tracker loads it where
 * its own tag has `data-consent`, a list of the names below; their further attributes stand in each one's module.
 *
 * One denial overrides any grant. A grant counts once every named manager has spoken, or been waited for long enough.
 * No answer is never a grant. Only the state leaves, with the strings that the server reads for itself (see Payload).
 */

import { cookiebot } from './managers/cookiebot.ts';
import { cookieconsent } from './managers/cookieconsent.ts';
import { didomi } from './managers/didomi.ts';
import { gcm } from './managers/gcm.ts';
import { gpp } from './managers/gpp.ts';
import { klaro } from './managers/klaro.ts';
import { onetrust } from './managers/onetrust.ts';
import { osano } from './managers/osano.ts';
import { tcf } from './managers/tcf.ts';
import { trustarc } from './managers/trustarc.ts';
import { usercentrics } from './managers/usercentrics.ts';
import { wpConsent } from './managers/wp_consent.ts';
import { watchAll, type Tell } from './managers/all.ts';
import type { Options } from './managers/watch.ts';

/** How the tracker hands over: by properties of the tag that loads this file. */
export interface Loader extends HTMLScriptElement {
  options?: Options;
  say?: Tell;
}

const loader = document.currentScript as Loader | null;
if (loader?.options && loader.say) {
  watchAll(
    {
      cookiebot,
      cookieconsent,
      didomi,
      gcm,
      gpp,
      klaro,
      onetrust,
      osano,
      tcf,
      trustarc,
      usercentrics,
      wp_consent: wpConsent,
    },
    loader.options,
    loader.say,
  );
}
