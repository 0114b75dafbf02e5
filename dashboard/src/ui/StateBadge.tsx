import { formatDuration } from './format';

interface Props {
  closed: boolean;
  start: number;
  end: number;
  now: number;
}

/** An ongoing episode breathes; a closed one says how long it lasted. */
export const StateBadge = ({ closed, start, end, now }: Props) => (
  <span className="state" data-closed={closed}>
    <span className="state-dot" aria-hidden="true" />
    <span>
      {closed ? 'Closed' : 'Ongoing'}
      <span className="state-time">
        {closed ? ` · lasted ${formatDuration(end - start)}` : ` · ${formatDuration(now - start)}`}
      </span>
    </span>
  </span>
);
