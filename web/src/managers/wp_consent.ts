/**
 * The WP Consent API of WordPress: `data-consent="wp_consent"`, its category statistics. Its own function says yes where
 * nobody was asked, so the choice is read where it is stored.
 */

import { ask, stateOf, type Watch } from './watch.ts';

export const wpConsent: Watch = (say) => {
  ask(
    say,
    () => {
      if (!window.wp_has_consent) throw 0;
      const prefix = window.consent_api?.cookie_prefix || 'wp_consent';
      const choice = document.cookie.split('; ').find((cookie) => cookie.startsWith(`${prefix}_statistics=`));
      return stateOf(choice?.endsWith('=allow'), choice);
    },
    'wp_listen_for_consent_change',
  );
};
