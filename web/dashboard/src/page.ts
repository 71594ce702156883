/** What every panel is given: the state, the way to change it, and what is known of the site. */
import type { Filter, Site } from './api.ts';
import type { State } from './state.ts';

export interface Page {
  readonly state: State;
  /** The site that is shown. */
  readonly site: Site;
  /** Changes the state, writes it into the address and loads again what depends on it. */
  change(part: Partial<State>): void;
  /** Adds "dimension is value" or, where it stands already, takes it away. */
  toggleFilter(dimension: string, value: string): void;
  /** The filters as the API takes them. */
  filters(): Filter[];
}

export interface Panel {
  element: HTMLElement;
  /** Loads what the state asks for. */
  load(signal: AbortSignal): Promise<void>;
  /** What the panel shows depends on this alone: it loads again where it differs from the last time. */
  key(): string;
}
