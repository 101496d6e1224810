// Names, units and digits of metrics, and times as people read them.

interface Look {
  label: string;
  unit: string;
  digits: number;
  /** The least height of a chart in units of the metric, so that noise stays small. */
  span: number;
  hue: string;
  states?: [string, string];
}

const looks: Record<string, Look> = {
  temp: { label: 'Temperature', unit: '°C', digits: 1, span: 3, hue: 'warm' },
  temperature: { label: 'Temperature', unit: '°C', digits: 1, span: 3, hue: 'warm' },
  ambient: { label: 'Ambient', unit: '°C', digits: 1, span: 3, hue: 'sand' },
  hum: { label: 'Humidity', unit: '%', digits: 0, span: 10, hue: 'water' },
  humidity: { label: 'Humidity', unit: '%', digits: 0, span: 10, hue: 'water' },
  pressure: { label: 'Pressure', unit: 'hPa', digits: 1, span: 2, hue: 'violet' },
  wind: { label: 'Wind', unit: 'm/s', digits: 1, span: 1, hue: 'water' },
  power: { label: 'Power', unit: 'W', digits: 0, span: 20, hue: 'sand' },
  door: { label: 'Door', unit: '', digits: 0, span: 1.2, hue: 'sand', states: ['closed', 'open'] },
  compressor: {
    label: 'Compressor', unit: '', digits: 0, span: 1.2, hue: 'water', states: ['off', 'on'],
  },
  defrost: { label: 'Defrost', unit: '', digits: 0, span: 1.2, hue: 'warm', states: ['off', 'on'] },
  fault: { label: 'Fault', unit: '', digits: 0, span: 1.2, hue: 'warm', states: ['none', 'fault'] },
  batt: { label: 'Battery', unit: '%', digits: 0, span: 10, hue: 'leaf' },
  battery: { label: 'Battery', unit: '%', digits: 0, span: 10, hue: 'leaf' },
};

const order = Object.keys(looks);
const hues = ['water', 'leaf', 'violet', 'sand', 'warm'];

export function lookOf(metric: string): Look {
  const known = looks[metric] ?? looks[metric.slice(metric.lastIndexOf('.') + 1)];
  if (known) return known;
  let sum = 0;
  for (const char of metric) sum = (sum * 31 + char.charCodeAt(0)) >>> 0;
  return { label: metric, unit: '', digits: 2, span: 1e-6, hue: hues[sum % hues.length]! };
}

/** The metric that speaks for a device comes first. */
export function compareMetrics(a: string, b: string): number {
  const rank = (metric: string) => {
    const at = order.indexOf(metric);
    return at < 0 ? order.length : at;
  };
  return rank(a) - rank(b) || a.localeCompare(b);
}

export function formatNumber(metric: string, value: number): string {
  if (!Number.isFinite(value)) return '–';
  const { digits } = lookOf(metric);
  if (Math.abs(value) >= 1e6) return value.toExponential(2);
  return value.toFixed(digits).replace('-', '−');
}

export function formatValue(metric: string, value: number): string {
  const { unit, states } = lookOf(metric);
  if (states && (value === 0 || value === 1)) return states[value]!;
  const text = formatNumber(metric, value);
  return unit ? `${text}\u202f${unit}` : text;
}

const clock = new Intl.DateTimeFormat(undefined, {
  day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit',
  second: '2-digit',
});

export function formatTime(ms: number): string {
  return clock.format(ms);
}

export function formatSpan(ms: number): string {
  const units: [number, string][] = [[86400e3, 'd'], [3600e3, 'h'], [60e3, 'min'], [1e3, 's']];
  const [size, name] = units.find(([unit]) => ms >= unit) ?? [1e3, 's'];
  return `${Math.round(ms / size)}\u202f${name}`;
}
