import { useEffect, useState } from 'react';

import { copyText } from './clipboard';
import { CheckIcon, CopyIcon } from './icons';

const SHOWN_MS = 1_600;

interface Props {
  text: string;
  /** What it copies, for the button's name: "Copy trace id". */
  what: string;
  label?: string;
}

export function Copy({ text, what, label }: Props) {
  const [outcome, setOutcome] = useState<'copied' | 'failed' | null>(null);

  useEffect(() => {
    if (outcome === null) return;
    const timer = window.setTimeout(() => {
      setOutcome(null);
    }, SHOWN_MS);
    return () => {
      window.clearTimeout(timer);
    };
  }, [outcome]);

  const copy = (): void => {
    void copyText(text).then((copied) => {
      setOutcome(copied ? 'copied' : 'failed');
    });
  };

  return (
    <button
      type="button"
      className={label === undefined ? 'copy' : 'copy copy-labelled'}
      aria-label={`Copy ${what}`}
      title={`Copy ${what}`}
      data-outcome={outcome}
      onClick={copy}
    >
      {outcome === 'copied' ? <CheckIcon /> : <CopyIcon />}
      {label !== undefined && <span>{label}</span>}
      <span className="visually-hidden" role="status">
        {outcome === 'copied' && 'copied'}
        {outcome === 'failed' && 'could not copy'}
      </span>
    </button>
  );
}
