/** Where a web vital stands between good and poor. */

export interface Bounds {
  /** Up to here it is good, up to there it needs work; milliseconds, CLS without a unit. */
  good: number;
  poor: number;
}

export type Band = 'good' | 'needs work' | 'poor';

/** The band of a value; a bound belongs to the better side. */
export const band = ({ good, poor }: Bounds, given: number): Band =>
  given <= good ? 'good' : given <= poor ? 'needs work' : 'poor';

/** Where a value stands on a bar of three equal bands, in per cent; twice the poor bound and more is the end. */
export const position = ({ good, poor }: Bounds, given: number): number => {
  const third = 100 / 3;
  if (given <= good) return (given / good) * third;
  if (given <= poor) return third + ((given - good) / (poor - good)) * third;
  return Math.min(100, 2 * third + ((given - poor) / poor) * third);
};
