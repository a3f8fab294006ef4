#!/usr/bin/env bash
# Shows that an unmodified LLaMA-Factory trains on our SFT files as data/dataset_info.json registers them: two steps
# on the files of $OUT/sft, in an environment of its own. Not part of the tests: it installs some gigabytes.
source "$(dirname "$0")/../settings.sh"
source scripts/bench/llamafactory_env.sh
data=outputs/bench/llamafactory-data
rm -rf "$data" && mkdir -p "$data"
cp data/dataset_info.json "$data/"
for role in agent_model world_model; do
    cp "$OUT/sft/$role.json" "$data/alfworld_$role.json"
done
"$peer/bin/llamafactory-cli" train --stage sft --do_train --model_name_or_path data/tiny-mistral --dataset_dir "$data" \
    --dataset alfworld_agent_model,alfworld_world_model --template mistral --finetuning_type lora \
    --lora_target q_proj,v_proj --cutoff_len 2048 --output_dir "$data/peft" --overwrite_output_dir --max_steps 2 \
    --per_device_train_batch_size 2 --logging_steps 1 --report_to none
echo "LLaMA-Factory trained two steps on alfworld_agent_model and alfworld_world_model: $data/peft"
