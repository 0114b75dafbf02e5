import { humanise } from './format';
import { SeverityIcon } from './icons';

/** The server's word, with a shape of its own. */
export const SeverityBadge = ({ level }: { level: string }) => (
  <span className="severity" data-level={level}>
    <SeverityIcon level={level} />
    {humanise(level)}
  </span>
);
