//! The decoders on what other programs compressed, on what a plain compressor did, and on noise.
//!
//! The vectors were made with wimlib 1.13 (`wimlib-imagex capture --compress=XPRESS --chunk-size=4096`
//! and `--compress=LZX --chunk-size=32768`) from the texts that [`lines`] and [`calls`] give: one
//! chunk each, so without a chunk table.

#[path = "../../tests/common/lznt1.rs"]
mod compressor;

use proptest::prelude::*;

use super::{DecodeFault, lznt1, lzx, xpress};

const TEXT_BYTES: usize = 2_000;

/// "line 0 of 0", "line 1 of 1", "line 2 of 4", …
fn lines() -> Vec<u8> {
    let lines = (0..).flat_map(|n| format!("line {n} of {}\n", n * n).into_bytes());
    lines.take(TEXT_BYTES).collect()
}

/// x86 functions that call near the beginning and the end of the chunk, and past both.
fn calls() -> Vec<u8> {
    let mut code: Vec<u8> = Vec::new();
    for n in 0_i32.. {
        if code.len() >= TEXT_BYTES {
            break;
        }
        let at = code.len() as i32;
        let target = if n % 3 == 0 { (-at).div_euclid(2) } else { (5_000 - at - 5) & i32::MAX };
        code.extend([0x55, 0x48, 0x89, 0xe5, 0xe8]);
        code.extend(target.to_le_bytes());
        code.extend([(n * 37) as u8, 0x5d, 0xc3]);
    }
    code.truncate(TEXT_BYTES);
    code
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

type Decoder = fn(&[u8], &mut [u8]) -> Result<(), DecodeFault>;

const DECODERS: [Decoder; 3] = [lznt1::decompress, xpress::decompress, lzx::decompress];

#[test]
fn what_wimlib_compressed_comes_out_again() {
    let vectors: [(Decoder, &str, Vec<u8>); 3] = [
        (xpress::decompress, XPRESS_LINES, lines()),
        (lzx::decompress, LZX_LINES, lines()),
        (lzx::decompress, LZX_CALLS, calls()),
    ];
    for (decompress, compressed, expected) in vectors {
        let compressed = bytes(compressed);
        let mut out = vec![0; TEXT_BYTES];
        decompress(&compressed, &mut out).unwrap();
        assert_eq!(out, expected);
        // Half of it cannot be enough, and one bit decides about everything after it.
        assert!(decompress(&compressed[..compressed.len() / 2], &mut out).is_err());
    }
}

#[test]
fn a_unit_ends_at_a_zero_header_and_the_rest_is_zeros() {
    let mut out = [9; 8192];
    lznt1::decompress(&[0, 0, 1, 2, 3], &mut out).unwrap();
    assert_eq!(out, [0; 8192]);
    // A short first chunk leaves zeros up to the next one.
    let chunks = [compressor::compress(b"abc"), compressor::compress(b"def")].concat();
    lznt1::decompress(&chunks, &mut out).unwrap();
    assert_eq!((&out[..4], &out[4096..4100]), (&b"abc\0"[..], &b"def\0"[..]));
}

#[test]
fn lznt1_faults_have_their_names() {
    let fault = |input: &[u8]| lznt1::decompress(input, &mut [0; 4096]).unwrap_err();
    assert_eq!(fault(&[0x05, 0xb0, 0]), DecodeFault::Truncated);
    assert_eq!(fault(&[0x02, 0xb0, 1, 0, 0]), DecodeFault::Distance);
    assert_eq!(fault(&[0x01, 0xb0, 1, 0]), DecodeFault::Truncated);
    // One literal, then two matches of 4098 bytes.
    assert_eq!(fault(&[0x05, 0xb0, 6, b'a', 0xff, 0x0f, 0xff, 0x0f]), DecodeFault::Overrun);
}

fn compressible() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec((0_u8..6, 1_usize..300), 0..40).prop_map(|runs| {
        runs.into_iter().flat_map(|(byte, n)| (0..n).map(move |at| byte * (at % 3) as u8)).collect()
    })
}

proptest! {
    // The plain compressor takes quadratic time.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn lznt1_gives_back_what_was_compressed(data in compressible()) {
        let mut out = vec![7; data.len()];
        lznt1::decompress(&compressor::compress(&data), &mut out).unwrap();
        prop_assert_eq!(out, data);
    }

    #[test]
    fn lznt1_gives_back_noise(data in proptest::collection::vec(any::<u8>(), 0..9000)) {
        let mut out = vec![7; data.len()];
        lznt1::decompress(&compressor::compress(&data), &mut out).unwrap();
        prop_assert_eq!(out, data);
    }

    #[test]
    fn noise_is_decoded_or_refused(data in proptest::collection::vec(any::<u8>(), 0..2000), length in 0_usize..40_000) {
        for decompress in DECODERS {
            // An error is as good as any bytes: there is nothing to compare them with.
            let _ = decompress(&data, &mut vec![0; length]);
        }
    }

    #[test]
    fn changed_vectors_are_decoded_or_refused(at in 0_usize..800, change in 1_u8.., which in 0_usize..3) {
        let vectors: [(Decoder, &str); 3] =
            [(xpress::decompress, XPRESS_LINES), (lzx::decompress, LZX_LINES), (lzx::decompress, LZX_CALLS)];
        let (decompress, hex) = vectors[which];
        let mut data = bytes(hex);
        let at = at % data.len();
        data[at] ^= change;
        let _ = decompress(&data, &mut [0; TEXT_BYTES]);
    }
}

const XPRESS_LINES: &str = "000000000009000000000000000000000800000000000000454454545400000000000000000000000000000000000000\
    000090099000089900000000000000000000000000000000000000000000000000000000000000000000000000000000\
    000000000000000000000000000000000000000000000000000000000000000009000000000000000000000000000000\
    000000000000000060700000000000000980790900000000090887970000000009996707000000000963580800000000\
    086059070000000009605007000000000960869508000000000000000000000000000000000000000000000000000000\
    00000000000000000000000000000000f7ed3dfc90bdf8ecbbfbec21c2ed101643b72ec298e8ee49de8bdd468563ee38\
    85ada54fbf4b28fc56f86ce4aff062cafefca050811cfe1e49016878f59325e7218be57364918336b289bf3913810e7f\
    6802b5789e3ce053b42c602caeb2ccfef86dc1709f688c268c1670b9b360b150cd82e0f55c5a0b789b4b9559c2e3d302\
    64a1a705894664994d292d333985652651c50614a14b37825570013d4ab220b7e7398c19e900b5469e8b5053e7fad596\
    5cea4a9075c003c948d8ccbf10eb3c5751f8e70256a0ae3d277a400c0d088c2101013cac4440382004d10342206e0e08\
    8158801018df1022fa1cc2bef2041d41e51f11483f082ca6d04095e48e00358703a9090401d1048258952018ac470403\
    3a0930d0b04003ae0b0481d30582004b4d1bd812c140b5020c882c1060ac9196a74e04f98511d29322085e5648cb59ba\
    2db90b23dc6708828df52048b88c2080f98ca8810e8b0470b51f20fe201cbb6e0857341ae1804a031c98672003a81284\
    4885201c4497080795247d60713703acbce96895201ceb943081ee81cc75732002b00361d2ad8170c4da8409f60e4c30\
    9f2004540fc2fec50800b6264c609b20c15982300b6f5eb15d8cd8d8c369fd81b0c9b8ca508c67d8686ceff93d711405\
    1a35c9cbd967c4fdc4698d9ae1ff99838e1acd24cdce3247c77b47dbebe7ed2025214de453a4e48da47d9583ade4b3a4\
    e49d64dd4fe2a1fca2acb748cb9423d1adbcaeac3b493acb44cbd7a432b5bd684555c0ac7f5e497cf2b577f6b3164431\
    10ad662d8a92645a205f0000";

const LZX_LINES: &str = "7d2000030000000234044200614ed709cd6d56cf21e10121f6fb00c40000aa04aaaa4800cf01ddfbe04004ee0d74a84d\
    b5c833b46930d31cc19f00800000000000000808ff1ffbff7dfbef9ea5573e3d5fffe8d7fdf6e9a5ba6dae17c7aaff4a\
    7d7fed36d3fa74dce72a17a74a5da7da28ee829f97a581182f9a0d586f3e6da69de341bec99a4ceb8b32b2ad11744831\
    635c3523dad618b0f37cf861e3c5c3181863639c34239a6bf934a8a2f0c373b50a58f3ed9b65f778904ff57440924719\
    b66cba102d26e8cfc398d18c5891690d7df33632fbf1f15592054eb265908b10437b4fb4978aa6ef83306534012b7ca5\
    8bf3065f97ce205eacb0a7934419c54f9fce758ee10d818c349a9df5ac841b72468ee3b727b0871c726cf221ae08da41\
    1d0f67edef20904d2376ed200ff972dcd32076563fe976c132ec8e4b7d4993bf6118279fc9999b3030c993dcaf1a3b28\
    c97a3c3074573adfbc322da34c3e8c4371d10c58f3e949e534cae5cb25049764154fa7dc53cd8dff7efadb62f12220ac\
    ade6b8d2552eb2f9dbbf7bbb3f6dc0224dae8ebbcc552aae54162d4e97e97b8d9a037ab8bae0e6a799cec7b7b7b15be4\
    72cd986e88725c57b064c5890bb7b9c6cd91ab1d05573fea00c9";

const LZX_CALLS: &str = "7d20000200003401000000006c4e9621f24dcafaa2c9eb6b8926acaf1659af5d16990b4debebbe2696994d4d5f133459\
    7d4d65654d96c8f26bb25fe8d73016d1424d00000000403040030e3253a0c6f104d1f723f0ef00900000000000000810\
    fb76beef39b4ef49ca8709db7b68ec10dbe918b4972398776a502aedcb8671d4adf631ea3d262cc9d7c1131e5d95ec53\
    f736b03034a70f76a858588fdefb5ce1814cbacdb315533ce954c417cedcd32173a93cb4568746bbddbca11fce62ce74\
    b23f9ee4fae956b823c8300e1ce8db62439a71def0cb066fc84911ad1edd9463035e37fa9eb7f35833a452af4fa9ff84\
    e21c99bea5330b74797ab5e6afd1c0e9931c53a67c474f7abcb6c4865fe06595a04e3ad0d3f5733e76ff382a8ee5c5a9\
    41c434c0d2e754e3c14157995a89c1d30f35bd26dc668e70665dbc4edcf0a9d2e33e73700c6b8e65cfc921ae9aebc6e7\
    4751610e82be3c9bd9734b7562e629ceacd6dae1379abb5ce887ae6e48c1f99c3bdb4c94a31c7e56fceee7ae661a821c\
    9edcef5935b937f98ea3cb7277469a6755e6fd61e39bacd89981cf33b978c4c71d6cbf12899c3ad33e55277aeac6f857\
    9cc6aca3735a34bfdacfcebc2aa20010";
