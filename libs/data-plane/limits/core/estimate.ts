/**
 * Tokens to reserve for a request before anybody knows what it uses: a quarter of the prompt's bytes, rounded up, and
 * the answer as long as the client allows it to be. Settled to the real usage afterwards.
 * @param promptBytes size of the request body
 * @param maxTokens what the client set; undefined: nothing
 * @param defaultMaxTokens assumed when the client set nothing
 */
export function estimateTokens(
  promptBytes: number,
  maxTokens: number | undefined,
  defaultMaxTokens: number,
): number {
  const answer = maxTokens !== undefined && maxTokens >= 0 ? maxTokens : defaultMaxTokens;
  // A client may write any number; what no limit reaches is refused all the same, and the sum stays exact.
  return Math.ceil(promptBytes / 4) + Math.min(Math.ceil(answer), tokensMax);
}

const tokensMax = 1e12;
