/** The instrument's paper: pen arcs, and a trace that dips as the storm arrives. */
export const Mark = () => (
  <svg className="mark" viewBox="0 0 44 28" width="44" height="28" aria-hidden="true">
    <rect className="mark-paper" x="0.5" y="0.5" width="43" height="27" rx="5" />
    <path
      className="mark-arcs"
      d="M9 1Q13 14 9 27M18 1Q22 14 18 27M27 1Q31 14 27 27M36 1Q40 14 36 27"
    />
    <path
      className="mark-trace"
      d="M3.5 9C8 7.5 11 8.5 14 10.5S19.5 22 23 22 27.5 9.5 31.5 7.5 38 9 40.5 9.5"
    />
    <circle className="mark-pen" cx="40" cy="9.4" r="2" />
  </svg>
);

/** A wide strip of the same paper, for views that have nothing to show yet. */
export const Paper = ({ blank = false }: { blank?: boolean }) => (
  <svg
    className="paper"
    viewBox="0 0 320 84"
    aria-hidden="true"
    preserveAspectRatio="xMidYMid slice"
  >
    {Array.from({ length: 13 }, (_, at) => (
      <path
        key={at}
        className="paper-arc"
        d={`M${at * 27 - 8} 0Q${at * 27 + 6} 42 ${at * 27 - 8} 84`}
      />
    ))}
    {Array.from({ length: 5 }, (_, at) => (
      <path key={at} className="paper-line" d={`M0 ${at * 20 + 2}H320`} />
    ))}
    {!blank && (
      <>
        <path
          className="paper-trace"
          d="M0 34C24 30 40 36 62 33S100 28 124 32s30 2 48 3 34-4 54-1 34 2 50-1 30 2 40 1"
        />
        <circle className="paper-pen" cx="316" cy="34" r="3" />
      </>
    )}
  </svg>
);
