/** Two plots as SVG text: lines over a logarithmic axis, and groups of bars. No library: there is little to draw. */

export interface Line {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number; readonly low?: number; readonly high?: number }[];
}

export interface LinePlot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
  /** Is the y axis logarithmic too? */
  readonly logarithmic?: boolean;
}

export interface BarPlot {
  readonly title: string;
  readonly y: string;
  readonly groups: readonly {
    readonly name: string;
    readonly bars: readonly {
      readonly name: string;
      readonly y: number;
      readonly low?: number;
      readonly high?: number;
    }[];
  }[];
}

const WIDTH = 760;
const HEIGHT = 440;
const LEFT = 70;
const RIGHT = 175;
const TOP = 44;
const BOTTOM = 56;
/** Distinguishable also for the colour-blind (Okabe and Ito), and by order in the legend. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#555555', '#b8a800', '#000000'];

const inner = { width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function label(x: number, y: number, text: string, more = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escapeXml(text)}</text>`;
}

/** 0.25, 40, 10k, 1M */
export function shortNumber(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (value >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return `${Number(value.toPrecision(3))}`;
}

/** Round steps from 0 to at least `most`: 1, 2 or 5 times a power of ten apart. */
export function ticks(most: number): number[] {
  if (!(most > 0)) return [0, 1];
  const power = 10 ** Math.floor(Math.log10(most / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => most / one <= 6) ?? 10 * power;
  const count = Math.ceil(most / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}

/** Powers of ten around all values. */
function decades(values: readonly number[]): number[] {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values)) - 1e-9));
  return Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
}

function frame(title: string, y: string, body: string): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12" fill="#222">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    label(LEFT, 24, title, 'font-size="15" font-weight="bold"'),
    label(0, 0, y, `transform="translate(18 ${TOP + inner.height / 2}) rotate(-90)" text-anchor="middle"`),
    body,
    '</svg>\n',
  ].join('\n');
}

function yAxis(marks: readonly number[], at: (value: number) => number): string {
  return marks
    .map((mark) => {
      const y = at(mark).toFixed(1);
      return (
        `<line x1="${LEFT}" x2="${LEFT + inner.width}" y1="${y}" y2="${y}" stroke="#dddddd"/>` +
        label(LEFT - 8, at(mark) + 4, shortNumber(mark), 'text-anchor="end"')
      );
    })
    .join('\n');
}

function legend(names: readonly string[]): string {
  return names
    .map((name, i) => {
      const y = TOP + 8 + i * 20;
      const x = LEFT + inner.width + 16;
      return `<rect x="${x}" y="${y - 9}" width="12" height="12" fill="${COLOURS[i % COLOURS.length]}"/>${label(x + 18, y + 1, name)}`;
    })
    .join('\n');
}

export function linePlot({ title, x, y, lines, logarithmic = false }: LinePlot): string {
  const points = lines.flatMap((line) => line.points);
  const xs = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  const first = Math.log10(xs[0] ?? 1);
  const width = Math.max(Math.log10(xs.at(-1) ?? 1) - first, 1e-9);
  const marks = logarithmic
    ? decades(points.map((point) => point.y))
    : ticks(Math.max(...points.map((point) => point.high ?? point.y)));
  const scale = logarithmic ? Math.log10 : (value: number) => value;
  const [bottom, top] = [scale(marks[0]!), scale(marks.at(-1)!)];
  const atX = (value: number) => LEFT + 12 + ((Math.log10(value) - first) / width) * (inner.width - 24);
  const atY = (value: number) => TOP + inner.height * (1 - (scale(value) - bottom) / (top - bottom));
  const drawn = lines.map((line, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const path = line.points.map((point) => `${atX(point.x).toFixed(1)},${atY(point.y).toFixed(1)}`).join(' ');
    const spreads = line.points
      .filter((point) => point.low !== undefined && point.high !== undefined)
      .map((point) => {
        const at = atX(point.x).toFixed(1);
        return `<line x1="${at}" x2="${at}" y1="${atY(point.low!).toFixed(1)}" y2="${atY(point.high!).toFixed(1)}" stroke="${colour}" stroke-opacity="0.5"/>`;
      });
    const dots = line.points.map(
      (point) => `<circle cx="${atX(point.x).toFixed(1)}" cy="${atY(point.y).toFixed(1)}" r="3.5" fill="${colour}"/>`,
    );
    return [`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`, ...spreads, ...dots].join(
      '\n',
    );
  });
  const xMarks = xs.map((value) =>
    label(atX(value), TOP + inner.height + 20, shortNumber(value), 'text-anchor="middle"'),
  );
  const xTitle = label(LEFT + inner.width / 2, HEIGHT - 14, x, 'text-anchor="middle"');
  return frame(
    title,
    y,
    [yAxis(marks, atY), ...xMarks, xTitle, ...drawn, legend(lines.map(({ name }) => name))].join('\n'),
  );
}

export function barPlot({ title, y, groups }: BarPlot): string {
  const names = [...new Set(groups.flatMap(({ bars }) => bars.map(({ name }) => name)))];
  const marks = ticks(Math.max(...groups.flatMap(({ bars }) => bars.map((bar) => bar.high ?? bar.y))));
  const most = marks.at(-1)!;
  const atY = (value: number) => TOP + inner.height * (1 - value / most);
  const groupWidth = inner.width / Math.max(groups.length, 1);
  const barWidth = (groupWidth * 0.8) / Math.max(names.length, 1);
  const drawn = groups.map((group, g) => {
    const start = LEFT + g * groupWidth + groupWidth * 0.1;
    const bars = group.bars.map((bar) => {
      const i = names.indexOf(bar.name);
      const x = start + i * barWidth;
      const rect = `<rect x="${x.toFixed(1)}" y="${atY(bar.y).toFixed(1)}" width="${(barWidth * 0.9).toFixed(1)}" height="${(atY(0) - atY(bar.y)).toFixed(1)}" fill="${COLOURS[i % COLOURS.length]}"/>`;
      if (bar.low === undefined || bar.high === undefined) return rect;
      const middle = (x + barWidth * 0.45).toFixed(1);
      return `${rect}<line x1="${middle}" x2="${middle}" y1="${atY(bar.low).toFixed(1)}" y2="${atY(bar.high).toFixed(1)}" stroke="#222222"/>`;
    });
    return [...bars, label(start + groupWidth * 0.4, TOP + inner.height + 20, group.name, 'text-anchor="middle"')].join(
      '\n',
    );
  });
  return frame(title, y, [yAxis(marks, atY), ...drawn, legend(names)].join('\n'));
}
