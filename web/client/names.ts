// Channel names, patterns, and the order of ids.

/** As the server: `+` is one level, `#` the rest, which may be none; neither begins with `$`. */
export function matches(pattern: string, name: string): boolean {
  if (pattern === name) return true;
  if (name.startsWith('$') && /^[+#]/.test(pattern)) return false;
  const levels = name.split('/');
  const wants = pattern.split('/');
  for (let i = 0; i < wants.length; i++) {
    if (wants[i] === '#') return true;
    if (i >= levels.length || (wants[i] !== '+' && wants[i] !== levels[i])) return false;
  }
  return wants.length === levels.length;
}

export const isId = (pattern: string) => /^\d+$/.test(pattern);

/** Whether id `a` comes after `b`: an m and a number without leading zeros. */
export function isAfter(a: string, b: string | undefined): boolean {
  if (b === undefined) return true;
  return a.length === b.length ? a > b : a.length > b.length;
}
