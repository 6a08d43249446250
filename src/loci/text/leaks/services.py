"""Tokens that tell by their form which service gave them out, in the order of the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from loci.text.leaks.folding import FILL, Candidate, View

# A line a format: its kind, what its tokens surely contain (one of these, split at |), and the token. In the patterns %N stands
# for a letter or digit, %W for those with - and _, %B for those with + and /, %H for a hexadecimal digit, %U for a capital or digit.
_FORMATS = r"""
aws_access_key      AKIA|ASIA|ABIA|ACCA|A3T        (?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?!%N)
aws_bedrock_key     ABSK|bedrock-api-key-          (?:ABSK%B{100,300}={0,2}|bedrock-api-key-%B{60,400}={0,2})
google_api_key      AIza                           AIza%W{35}
google_oauth_secret GOCSPX-                        GOCSPX-%W{28}
google_oauth_token  ya29.                          ya29\.%W{30,400}
google_refresh_token 1//0                          1//0%W{40,200}
google_hmac_key     GOOG1                          GOOG1E%U{56}
firebase_key        AAAA                           AAAA%W{7}:%W{140}
azure_client_secret Q~                             [A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}
azure_storage_key   AccountKey=                    (?<=AccountKey=)%B{86}==
azure_sas           sig=                           (?<=sig=)(?:%N|%[2-7][0-9A-F]|[+/]){40,70}(?:%3D|=)
azure_devops_token  AZDO                           %N{76}AZDO%N{4}
github_fine_grained_token github_pat_              github_pat_%N{22}_%N{59}
github_app_token    ghs_|ghu_                      gh[su]_%N{36,251}
github_token        ghp_|gho_|ghr_                 gh[por]_%N{36,251}
gitlab_token        glpat-|gldt-|glrt-|glcbt-|glptt-|glft-|gloas-|glsoat-|glimt-|glagent-|glffct-                         gl(?:pat|dt|rt|cbt|ptt|ft|oas|soat|imt|agent|ffct)-%W{20,100}(?:\.%N{2,9}){0,2}
slack_bot_token     xoxb-                          xoxb-\d{8,14}-(?:\d{8,14}-)?%N{18,34}
slack_user_token    xoxa-|xoxo-|xoxp-|xoxr-|xoxs-|xoxe                          xox(?:[aoprs]-(?:\d-)?(?:\d{8,14}-){0,3}[A-Za-z0-9-]{8,64}|e-(?:\d{8,14}-){3}[A-Za-z0-9-]{28,64}|e(?:\.xox[bp])?-\d-%N{100,200})
slack_app_token     xapp-                          xapp-\d-%N{8,14}-\d{8,16}-%N{32,80}
slack_webhook       hooks.slack.com                (?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[A-Za-z0-9+/]{30,80}
teams_webhook       webhook.office.com             (?<=webhook\.office\.com/)webhookb2/[0-9a-f@/-]{60,90}/IncomingWebhook/%H{32}/[0-9a-f-]{36}
discord_webhook     /api/webhooks/                 (?<=/api/webhooks/)\d{17,20}/%W{60,72}
stripe_key          sk_live_|sk_test_|rk_live_|rk_test_                [sr]k_(?:live|test)_%N{16,247}
stripe_webhook_secret whsec_                       whsec_[A-Za-z0-9+/=]{32,64}
square_token        sq0|EAAA                       (?:sq0(?:atp|idp)-%W{22}|sq0csp-%W{43}|EAAA[lE]%W{59})
braintree_token     access_token$                  access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$%H{32}
razorpay_key        rzp_                           rzp_(?:live|test)_%N{14,24}
shopify_token       shpat_|shpca_|shppa_|shpss_|shptka_|shpua_                         shp(?:at|ca|pa|ss|tka|ua)_[0-9a-fA-F]{32}
shippo_token        shippo_                        shippo_(?:live|test)_[0-9a-fA-F]{40}
easypost_key        EZAK|EZTK                      EZ[AT]K%N{54}
duffel_token        duffel_                        duffel_(?:live|test)_[A-Za-z0-9_=-]{43}
twilio_api_key      SK                             SK%H{32}(?!%N)
sendgrid_key        SG.                            SG\.[A-Za-z0-9_=-]{16,32}\.[A-Za-z0-9_=-]{32,64}
mailgun_key         key-                           key-%H{32}(?!%N)
mailchimp_key       -us                            %H{32}-us\d{1,2}(?!%N)
brevo_key           xkeysib-|xsmtpsib-             x(?:key|smtp)sib-%H{64}-%N{16}
resend_key          re_                            re_[A-Za-z0-9]{8}_%N{24}(?!%N)
openai_key          T3BlbkFJ|sk-                   sk-(?:(?:proj|svcacct|admin|None)-%W{40,220}|%N{20}T3BlbkFJ%N{20}|%N{48}(?!%W))
anthropic_key       sk-ant-                        sk-ant-(?:[a-z]{2,8}\d{2}-)?%W{60,140}
openrouter_key      sk-or-                         sk-or-v1-%H{64}
deepseek_key        sk-                            sk-%H{32}(?!%W)
huggingface_token   hf_|api_org_                   (?:hf|api_org)_[A-Za-z]{30,40}(?!%W)
groq_key            gsk_                           gsk_%N{52}
xai_key             xai-                           xai-%N{70,90}
perplexity_key      pplx-                          pplx-%N{40,64}
replicate_token     r8_                            r8_%N{37}
langsmith_key       lsv2_                          lsv2_(?:pt|sk)_%H{32}_%H{10}
langfuse_key        k-lf-                          sk-lf-[0-9a-f-]{36}
pinecone_key        pcsk_                          pcsk_%N{4,8}_%N{50,70}
nvidia_key          nvapi-                         nvapi-%W{60,70}
voyage_key          pa-                            pa-%W{43}(?!%W)
npm_token           npm_                           npm_%N{36}(?!%N)
pypi_token          pypi-                          pypi-(?:AgEIcHlwaS5vcmc|AgENdGVzdC5weXBpLm9yZw)%W{50,1000}
rubygems_key        rubygems_                      rubygems_%H{48}
clojars_token       CLOJARS_                       CLOJARS_%N{60}
cargo_token         cio                            cio%N{32}(?!%N)
docker_token        dckr_                          dckr_(?:pat|oat)_%W{27,36}
artifactory_token   AKCp|cmVmd                     (?:AKCp%N{69}|cmVmd%N{59})(?!%N)
nuget_key           oy2                            oy2[a-z0-9]{43}(?!%N)
digitalocean_token  _v1_                           do[opr]_v1_%H{64}
heroku_key          HRKU-                          HRKU-(?:AA%W{58}|[0-9a-fA-F-]{36})
netlify_token       nfp_|nfc_|nfo_|nfu_            nf[pcou]_%N{36,40}
flyio_token         fo1_|fm1|fm2_                  (?:fo1_%W{43}|fm(?:1[ar]|2)_%B{80,800}={0,3})
vercel_token        vcp_|vci_|vca_|vcr_|vck_       vc[piark]_%N{24,64}(?!%W)
render_key          rnd_                           rnd_%N{28,40}(?!%W)
supabase_token      sbp_|sb_secret_                (?:sbp_(?:v0_)?%H{40}|sb_secret_%W{31,48})
planetscale_token   pscale_                        pscale_(?:tkn|oauth|pw)_[A-Za-z0-9_=.-]{32,64}
neon_key            napi_                          napi_[a-z0-9]{60,70}
alibaba_key         LTAI                           LTAI%N{12,24}(?!%N)
tencent_key         AKID                           AKID%N{32}(?!%N)
yandex_key          AQVN                           AQVN%W{35,40}
cloudflare_origin_key v1.0-                        v1\.0-%H{24}-%H{146}
databricks_token    dapi                           dapi%H{32}(?:-\d)?(?!%N)
snowflake_token     ver:1-hint:                    ver:1-hint:\d{4,24}-%B{100,400}={0,2}
newrelic_key        NRAK-|NRJS-|NRII-|NRBR-|NRAL                         (?:NR(?:AK-[A-Z0-9]{27}|JS-%H{19}|II-[A-Za-z0-9-]{32}|BR-%H{24})|%H{36}NRAL)
sentry_token        sntry                          (?:sntryu_%H{64}|sntrys_%B{80,400}={0,2}_%B{43})
grafana_token       glsa_|glc_|eyJrIjoi            (?:glsa_%N{32}_[0-9a-fA-F]{8}|glc_%B{32,400}={0,3}|eyJrIjoi%N{70,400}={0,3})
dynatrace_token     dt0c|dt0s                          dt0[cs]\d\d\.%N{24}\.%N{64}
posthog_key         phx_                           phx_%N{40,56}(?!%W)
honeycomb_key       hcaik_                         hc[a-z]ik_[0-9a-z]{58}
vault_token         hvs.|hvb.|hvr.                 hv[sbr]\.%W{24,300}
terraform_token     .atlasv1.                      %N{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}
pulumi_token        pul-                           pul-%H{40}(?!%N)
doppler_token       dp.pt.|dp.st.|dp.ct.|dp.sa.|dp.scim.|dp.audit.                          dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?%N{40,44}
onepassword_token   ops_eyJ|A3-                    (?:ops_eyJ%B{200,900}={0,3}|A3-%U{6}-(?:%U{11}|%U{6}-%U{5})-%U{5}-%U{5}-%U{5}(?!%N))
infisical_token     st.                            st\.%H{24}\.%H{32}\.%H{32}
age_key             AGE-                           AGE-(?:SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}|PLUGIN-[A-Z0-9-]{40,200})
tailscale_key       tskey-                         tskey-[a-z]{3,12}-%N{8,24}-%N{20,64}
openshift_token     sha256~                        sha256~%W{43}
postman_key         PMA                            PMA[KT]-(?:%H{24}-%H{34}|%U{26})
linear_key          lin_                           lin_(?:api|oauth)_%N{32,64}
notion_token        ntn_|secret_                   (?:ntn_\d{11}%N{32,40}|secret_%N{43}(?!%N))
figma_token         figd|figu|figo                         fig[duo][a-z]{0,2}_%W{40,64}
airtable_token      pat                            pat%N{14}\.%H{64}
atlassian_token     ATATT3|ATBB|ATCTT3             (?:AT(?:A|C)TT3[A-Za-z0-9_=-]{60,220}|ATBB%N{24,36})(?!%N)
asana_token         /                              [12]/\d{12,19}(?:/\d{12,19})?:%H{32}
hubspot_token       pat-                           pat-(?:na|eu|ap)\d-%H{8}-%H{4}-%H{4}-%H{4}-%H{12}
contentful_token    CFPAT-                         CFPAT-%W{43}
typeform_token      tfp_                           tfp_%W{40,64}
mapbox_token        sk.eyJ|tk.eyJ                  [st]k\.eyJ%W{40,200}\.%W{20,30}
sourcegraph_token   sgp_                           sgp_(?:(?:local|%N{16})_)?%H{40}
buildkite_token     bkua_                          bkua_%H{40}
circleci_token      CCIPAT_                        CCIPAT_%N{22}_%H{40}
readme_key          rdme_                          rdme_[a-z0-9]{70}
prefect_key         pnu_                           pnu_%N{36}
authress_key        .acc                           (?:sc|ext|scauth|authress)_[a-z0-9]{5,30}\.[a-z0-9]{4,6}\.acc[_-][a-z0-9-]{10,32}\.[A-Za-z0-9+/_=-]{30,120}
clickhouse_key      4b1d                           4b1d%N{38}(?!%N)
flutterwave_key     FLWSECK                        FLWSECK(?:_TEST)?-(?:[0-9a-h]{32}-X|[0-9a-h]{12})
frameio_token       fio-u-                         fio-u-[A-Za-z0-9_=-]{64}
harness_token       pat.|sat.                      [ps]at\.%W{22}\.%N{24}\.%N{20}
infracost_key       ico-                           ico-%N{32}(?!%N)
intra42_secret      s-s4t2                         s-s4t2(?:ud|af)-%H{64}
maxmind_key         _mmk                           %N{6}_%N{29}_mmk
octopus_key         API-                           API-[A-Z0-9]{26}(?!%N)
scalingo_token      tk-us-                         tk-us-%W{48}
settlemint_token    sm_                            sm_(?:aat|pat|sat)_%N{16}(?!%N)
adobe_secret        p8e-                           p8e-[a-zA-Z0-9]{32}
dropbox_token       sl.                            sl\.(?:u\.)?%W{100,400}
facebook_token      EAA                            EAA%N{80,400}(?!%N)
instagram_token     IGQ                            IGQV?[A-Za-z0-9_-]{80,300}
twitter_bearer      AAAAAAAAAAAAAAAAAAAA           AAAAAAAAAAAAAAAAAAAA%N{0,80}%[2-7][0-9A-F][A-Za-z0-9%]{24,160}
telegram_bot_token  :AA                            \d{8,10}:AA%W{33}(?!%W)
discord_bot_token   .                              [MNO][A-Za-z0-9_-]{23,27}\.%W{6}\.%W{27,40}
jwt                 eyJ                            (?<![_-])eyJ%W{10,8000}\.eyJ%W{2,16000}\.%W{0,1000}
"""  # fmt: skip
_SHORTHAND = {"%N": "[A-Za-z0-9]", "%W": "[A-Za-z0-9_-]", "%B": "[A-Za-z0-9+/]", "%H": "[0-9a-f]", "%U": "[A-Z0-9]"}
_LETTER = re.compile("%[NWBHU]")


@cache
def _spelled(pattern: str) -> re.Pattern[str]:
    """The pattern with its shorthand written out; no letter or digit stands before it, and what was masked is no part of it. Compiled when a
    text first has what such a token surely contains."""
    return re.compile("(?<![A-Za-z0-9])(?:" + _LETTER.sub(lambda m: _SHORTHAND[m[0]], pattern) + ")")


_TABLE = [line.split(maxsplit=2) for line in _FORMATS.strip().splitlines()]
FORMATS = [(kind, sure.split("|"), pattern) for kind, sure, pattern in _TABLE]
_SURE = [(part, number) for number, (_, sure, _) in enumerate(FORMATS) for part in sure]
KINDS = frozenset(kind for kind, _, _ in FORMATS) | {"private_key"}
RANK = 1
_REST = re.compile(r"[A-Za-z0-9_]{1,4000}")
_FEWEST = 7  # different characters; below it stand examples made of xxxx

_BLOCK = re.compile(
    r"-----BEGIN (?P<what>[A-Z0-9 ]{0,24})PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d: |---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"
)
_BODY = re.compile(r"[A-Za-z0-9+/=_:.,()\-\s\\\"'>|]+")
_MATERIAL = re.compile(r"[A-Za-z0-9+/]{20}")
_MOST_BLOCK = 20_000


def tokens(view: View, is_whole: bool = True) -> Iterator[Candidate]:
    """The tokens of services, and blocks of private keys. Where lines were run together (not `is_whole`) none is taken for longer than
    the table says: what follows may be another word."""
    text = view.text
    long = " ".join([text[start:end] for start, end in view.runs])
    for number in dict.fromkeys([number for part, number in _SURE if part in long]):
        kind, _, shorthand = FORMATS[number]
        pattern = _spelled(shorthand)
        if pattern.search(long):
            for match in pattern.finditer(text):
                if len(set(match[0])) >= _FEWEST:
                    rest = _REST.match(text, match.end()) if is_whole else None  # longer than the table knows
                    yield Candidate(match.start(), rest.end() if rest else match.end(), kind, RANK)
    if "PRIVATE KEY" in text or "PuTTY-User" in text:
        yield from _blocks(text)


def _blocks(text: str) -> Iterator[Candidate]:
    """Blocks of private keys, from their first line to their last, or as far as what follows looks like one."""
    last = 0
    for begin in _BLOCK.finditer(text):
        if begin.start() < last:
            continue
        limit = min(len(text), begin.end() + _MOST_BLOCK)
        stop = text.find("-----END ", begin.end(), limit)
        closing = text.find("-----", stop + 9, stop + 60) if stop >= 0 else -1
        if closing >= 0:
            last = closing + 5
        else:
            body = _BODY.match(text, begin.end(), limit)
            last = begin.end() + len(body[0].rstrip()) if body else begin.end()
        if _MATERIAL.search(text, begin.end(), last) and FILL not in text[begin.start() : last]:
            yield Candidate(begin.start(), last, "private_key", 0)
