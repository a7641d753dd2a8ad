/** A key as logs and events may show it: first and last four characters, or nothing of one too short to hide. */
export function maskKey(secret: string): string {
  return secret.length <= 8 ? '***' : `${secret.slice(0, 4)}***${secret.slice(-4)}`;
}
