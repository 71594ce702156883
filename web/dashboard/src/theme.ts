/** Light, dark, or as the system has it; the choice is kept in this browser. */
import { select } from './dom.ts';

const KEY = 'consentry.dashboard.theme';
const CHOICES = [
  ['auto', 'As the system'],
  ['light', 'Light'],
  ['dark', 'Dark'],
] as const;

const set = (choice: string): void => {
  if (choice === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = choice;
};

const kept = (): string => {
  const choice = localStorage.getItem(KEY) ?? 'auto';
  return CHOICES.some(([known]) => known === choice) ? choice : 'auto';
};

/** The switch; `onchange` is told when the colours have changed, by it or by the system. */
export const themeSwitch = (onchange: () => void): HTMLElement => {
  set(kept());
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onchange);
  return select('Colours', CHOICES, kept(), (choice) => {
    localStorage.setItem(KEY, choice);
    set(choice);
    onchange();
  });
};
