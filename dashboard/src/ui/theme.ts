import { useEffect, useState } from 'react';

import { useMediaQuery } from './hooks';

export type Theme = 'light' | 'dark';

/** `public/theme.js` reads the same key before the first paint. */
const KEY = 'barograph.theme';

function remembered(): Theme | null {
  const theme = document.documentElement.dataset.theme;
  return theme === 'light' || theme === 'dark' ? theme : null;
}

/** The system's preference until somebody chooses; the choice is remembered. */
export function useTheme(): { theme: Theme; toggle: () => void } {
  const prefersDark = useMediaQuery('(prefers-color-scheme: dark)');
  const [chosen, setChosen] = useState(remembered);
  const theme = chosen ?? (prefersDark ? 'dark' : 'light');

  useEffect(() => {
    if (chosen === null) return;
    document.documentElement.dataset.theme = chosen;
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // Storage is forbidden: the choice lasts as long as the page.
    }
  }, [chosen]);

  return {
    theme,
    toggle: () => {
      setChosen(theme === 'dark' ? 'light' : 'dark');
    },
  };
}
