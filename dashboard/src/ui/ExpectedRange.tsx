import { formatValue } from './format';

interface Props {
  observed: number;
  expected: number;
  lower: number;
  upper: number;
  unit: string;
}

/** Positions in percent of one linear scale that starts at zero unless something lies below it. */
export function rangeGeometry({ observed, expected, lower, upper }: Omit<Props, 'unit'>) {
  const from = Math.min(0, lower, observed, expected);
  const to = Math.max(upper, observed, expected);
  const span = to - from || 1;
  const at = (value: number): number => ((value - from) / span) * 100;
  return {
    observed: at(observed),
    expected: at(expected),
    bandStart: at(lower),
    bandWidth: at(upper) - at(lower),
  };
}

export const rangeText = ({ observed, expected, lower, upper, unit }: Props): string =>
  `observed ${formatValue(observed)}${unit && ` ${unit}`}, expected ${formatValue(expected)}, ` +
  `normal from ${formatValue(lower)} to ${formatValue(upper)}`;

/** The normal range as a band, the expected value as a tick in it, the observed one as the pen. */
export function ExpectedRange(props: Props) {
  const at = rangeGeometry(props);
  return (
    <svg className="range" role="img" aria-label={rangeText(props)}>
      <line className="range-axis" x1="0" x2="100%" y1="8" y2="8" />
      <rect
        className="range-band"
        x={`${at.bandStart}%`}
        y="4"
        width={`${Math.max(at.bandWidth, 0.8)}%`}
        height="8"
        rx="2"
      />
      <line className="range-reach" x1={`${at.expected}%`} x2={`${at.observed}%`} y1="8" y2="8" />
      <line
        className="range-expected"
        x1={`${at.expected}%`}
        x2={`${at.expected}%`}
        y1="2"
        y2="14"
      />
      <circle className="range-observed" cx={`${at.observed}%`} cy="8" r="4.5" />
    </svg>
  );
}
