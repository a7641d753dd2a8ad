/** An annotated example per top-level block, for the reference; together they are one valid config. */
export const examples: Readonly<Record<string, string>> = {
  server: `server:
  listen: ':8000'
  workers: 4
  max_body_size: 20MB # images in prompts
  trusted_proxies: [10.0.0.0/8] # the load balancer says who the client is
  drain_timeout: 2m # let long streams finish`,
  management: `management:
  listen: 127.0.0.1:9000 # /metrics and the probes; not reachable for clients`,
  backends: `backends:
  - name: vllm
    url: http://10.0.0.5:8001
    weight: 3 # three of four requests
  - name: openai
    url: https://api.openai.com # requests bring /v1
    api_key: \${OPENAI_API_KEY:-none}
    timeout: 120s
    limits: { tokens_per_minute: 2000000, max_concurrent: 64 } # what our account there allows
  - name: claude
    url: https://api.anthropic.com
    auth: { type: header, header: x-api-key, value: '\${ANTHROPIC_API_KEY:-none}' }
    headers:
      anthropic-beta: context-1m-2025-08-07`,
  routing: `routing:
  load_balance: weighted
  models_cache_ttl: 1m`,
  health_check: `health_check:
  interval: 10s
  timeout: 2s
  path: /v1/models # for servers without /health`,
  auth: `auth:
  header_names: [Authorization, x-api-key]
  mode: first_match
  skip_paths: [/v1/models] # anyone may list the models
  pipeline:
    - name: team
      type: static
      static:
        keys:
          - key: \${TEAM_KEY:-sk-team-change-me}
            name: research
            user_id: research
            expires_at: 2030-01-31T00:00:00Z
    - name: everyone-else
      type: file # takes api_keys; with file.path, a file of its own
    - name: issued
      type: builtin # kept in the Redis of the gateway
    - name: shop
      type: redis
      redis: { storage: shop, key_pattern: 'llmproxy:key:{api_key}' }
    - name: customers
      type: database
      database: { storage: crm, table: api_keys, key_column: key_hash, key_hash: sha256 }
      cache: { ttl: 5s }
    - name: partners
      type: webhook
      webhook:
        url: https://partners.example.com/keys
        headers: { Authorization: 'Bearer \${PARTNERS_TOKEN:-none}' }
      timeout: 2s
      on_error: deny
      lua:
        script: |
          if data.plan ~= 'paid' then
            return { allow = false, message = 'this plan has no API access' }
          end
          return { allow = true, metadata = { user_id = data.account } }
  status_codes:
    quota_exceeded: { http_code: 402, message: Please top up your account. }
  failure_limit: { max_failures: 10, window: 1m, block: 5m }`,
  api_keys: `api_keys:
  - key: sk-alice-change-me
    user_id: alice
    total_quota: 5000000 # tokens
    quota_reset_period: monthly
    allowed_models: [gpt-4o, 'claude-*']
    allowed_ips: [192.0.2.0/24, '2001:db8::/32']
    limits: { requests_per_minute: 60, tokens_per_minute: 100000, max_concurrent: 3 }
  - key: sk-bob-change-me
    user_id: bob
    status: disabled # known, but not let in`,
  rate_limit: `rate_limit:
  time_zone: Europe/Berlin # quotas start again at midnight there
  on_redis_failure: local
  global: { requests_per_second: 500, burst_size: 1000 }
  per_key: { requests_per_minute: 600, max_concurrent: 20 } # for keys that say nothing else
  per_ip: { mode: shadow, requests_per_second: 20 } # only counted and logged
  per_backend: { max_concurrent: 128 }`,
  usage: `usage:
  reporters:
    - name: billing
      type: webhook
      webhook:
        url: https://billing.example.com/llm-usage
        secret: \${BILLING_SECRET:-change-me}
    - name: ledger
      type: database
      database: { storage: main }`,
  storage: `storage:
  databases:
    - name: main
      driver: sqlite
      path: data/usage.db
    - name: crm
      driver: postgres
      dsn: \${CRM_DSN:-postgres://reader@10.0.0.7/crm}
  caches:
    - name: shop
      driver: redis
      url: redis://10.0.0.8:6379/2`,
  redis: `redis:
  url: redis://10.0.0.9:6379,redis://10.0.0.10:6379 # the servers to begin with
  cluster: true
  allow_eviction: false`,
  log: `log:
  level: info`,
  logging: `logging:
  access:
    format: combined
    output: file
    file: { path: data/access.log }`,
  metrics: `metrics:
  path: /metrics
  latency_buckets: [100, 1000, 10000, 60000]`,
};
