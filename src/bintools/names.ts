/** How C names become TypeScript names. */

/** `mw_ip4_key` → `Ip4Key`: the prefix goes, words join. */
export function typeIdentifier(name: string): string {
  return stripPrefix(name).split('_').map(capital).join('');
}

/** `mw_ip4_key` → `ip4Key`. */
export function codecIdentifier(name: string): string {
  return camel(stripPrefix(name));
}

/** `addr_be` → `addr`, `former_until` → `formerUntil`. */
export function fieldName(name: string): string {
  return camel(name.endsWith('_be') ? name.slice(0, -3) : name);
}

/** `mw5_source_mac` → `sourceMac`: the layout version goes with the prefix. */
export function mapIdentifier(name: string): string {
  return camel(name.replace(/^mw\d*_/, ''));
}

/** `GUARD_MAC` → `guard-mac`. */
export function kebab(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

/**
 * The prefix that the enumerators of an enum share: its own name in capitals, or that name without its last words
 * (`mw_verdict_kind` → `MW_VERDICT_`); empty when no such prefix is common to all.
 */
export function enumeratorPrefix(enumName: string, enumerators: readonly string[]): string {
  const words = enumName.toUpperCase().split('_');
  for (; words.length > 1; words.pop()) {
    const prefix = `${words.join('_')}_`;
    if (enumerators.every((name) => name.startsWith(prefix) && /^[A-Z_]/.test(name.slice(prefix.length))))
      return prefix;
  }
  return '';
}

function stripPrefix(name: string): string {
  return name.replace(/^(mw|bpf)_/, '');
}

function camel(name: string): string {
  const [first = '', ...rest] = name.split('_').filter((word) => word !== '');
  return first + rest.map(capital).join('');
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
