/**
 * Usercentrics, API 2 and 3: `data-consent="usercentrics"`, `data-consent-service` (a service's id or name), or else
 * `data-consent-category` (default analytics), all of whose services must be agreed to. Implicit consent is no answer.
 */

import { ask, stateOf, type State, type Watch } from './watch.ts';

/** What both versions of the API come down to. */
type Service = [id: string, name: string, category: string, given: boolean, type?: string];

const servicesOf3 = async (): Promise<Service[]> => {
  const { consent, services } = await window.__ucCmp.getConsentDetails();
  return Object.entries<any>(services).map(([id, { name, category, consent: own }]) => [
    id,
    name,
    category,
    own.given,
    own.type || consent.type,
  ]);
};

const servicesOf2 = (): Service[] =>
  window.UC_UI.getServicesBaseInfo().map(({ id, name, categorySlug, consent: { status, history } }: any) => [
    id,
    name,
    categorySlug,
    status,
    history.slice(-1)[0]?.type,
  ]);

export const usercentrics: Watch = (say, { consentService, consentCategory = 'analytics' }) => {
  const read = (services: Service[]): State => {
    const ours = services.filter(([id, name, category]) =>
      consentService ? id === consentService || name === consentService : category === consentCategory,
    );
    const explicit = ours.every(([, , , , type]) => /^explicit$/i.test(String(type)));
    return stateOf(
      ours.every(([, , , given]) => given === true),
      ours.length && explicit,
    );
  };
  ask(
    say,
    () => {
      if (window.__ucCmp) return servicesOf3().then(read);
      if (!window.UC_UI.isInitialized()) throw 0;
      return read(servicesOf2());
    },
    'UC_UI_INITIALIZED',
    'UC_UI_CMP_EVENT',
    'UC_CONSENT',
  );
};
